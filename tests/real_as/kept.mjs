// Where the provider keeps clients, sessions, grants and tokens: its documented adapter interface, in one file, so that
// what it knew before it went down it still knows when it comes back.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

export function keptIn(path) {
  const entries = new Map(existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : []);

  function keep() {
    writeFileSync(`${path}.new`, JSON.stringify([...entries]));
    renameSync(`${path}.new`, path);
  }

  return class Kept {
    constructor(name) {
      this.name = name;
    }

    #found(matches) {
      for (const [key, { payload, until_s }] of entries) {
        if (key.startsWith(`${this.name}:`) && matches(payload) && !(until_s * 1000 < Date.now())) return payload;
      }
      return undefined;
    }

    async upsert(id, payload, expiresIn) {
      entries.set(`${this.name}:${id}`, { payload, until_s: expiresIn ? Date.now() / 1000 + expiresIn : undefined });
      keep();
    }

    async find(id) {
      const entry = entries.get(`${this.name}:${id}`);
      return entry && !(entry.until_s * 1000 < Date.now()) ? entry.payload : undefined;
    }

    async findByUid(uid) {
      return this.#found((payload) => payload.uid === uid);
    }

    async findByUserCode(userCode) {
      return this.#found((payload) => payload.userCode === userCode);
    }

    async consume(id) {
      entries.get(`${this.name}:${id}`).payload.consumed = Math.floor(Date.now() / 1000);
      keep();
    }

    async destroy(id) {
      entries.delete(`${this.name}:${id}`);
      keep();
    }

    async revokeByGrantId(grantId) {
      for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key);
      keep();
    }
  };
}

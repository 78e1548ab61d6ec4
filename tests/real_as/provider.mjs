// A real authorization server: npm's `oidc-provider`, configured as an organisation would, and nothing of it rewritten.
// What is ours here: where it keeps its state (kept.mjs), the token exchange (exchange.mjs, a grant type of one's own is a
// documented feature), that registered clients are not kept to the scopes they registered with (`unbound`), and who the
// people are. Login and consent pages are the ones that come with it.
//
// `node provider.mjs <settings.json>` prints one line, the issuer, when it listens; SIGHUP reads the settings again.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { Provider } from "oidc-provider";

import { registerTokenExchange } from "./exchange.mjs";
import { keptIn } from "./kept.mjs";

const path = process.argv[2];
const read = () => JSON.parse(readFileSync(path, "utf8"));
const first = read();
const issuer = `http://127.0.0.1:${first.port}`;
const adapter = keptIn(first.state);

function resourceServer(settings, resource) {
  return {
    scope: settings.scope,
    audience: resource,
    accessTokenFormat: settings.opaque.includes(new URL(resource).pathname) ? "opaque" : "jwt",
    accessTokenTTL: settings.token_ttl_s,
    jwt: { sign: { alg: settings.algorithm } },
  };
}

// The official client registers with the scopes of its first challenge. A server that holds it to them lets it never step up
// (RFC 7591 3.2.1 leaves both to the server), so an organisation that wants step-up has to leave them out, as here.
async function unbound(ctx, next) {
  if (ctx.method === "POST" && ctx.path === "/reg") {
    const chunks = await ctx.req.toArray();
    const { scope: _first, ...metadata } = JSON.parse(Buffer.concat(chunks));
    ctx.req.body = metadata;
  }
  await next();
}

function provider(settings) {
  const groups = (token) => settings.people[token.accountId ?? token.clientId]?.groups;
  const made = new Provider(issuer, {
    adapter,
    jwks: settings.jwks,
    clients: settings.clients,
    scopes: ["openid", "offline_access"],
    cookies: { keys: [settings.cookie_key] },
    pkce: { required: () => true },
    findAccount: (_ctx, id) => (id in settings.people ? { accountId: id, claims: () => ({ sub: id }) } : undefined),
    // `act` (RFC 8693, 4.1) names the client that exchanged the token; `groups` is what the gateway's policies ask for
    extraTokenClaims: (_ctx, token) => ({
      ...(groups(token) ? { groups: groups(token) } : {}),
      ...(token.gty === "token-exchange" ? { act: { sub: token.clientId } } : {}),
    }),
    // Clients' metadata documents are on this very machine in these tests, which the provider's own fetch would refuse.
    fetch: (url, { dispatcher: _refusesLoopback, ...options }) => fetch(url, options),
    features: {
      clientIdMetadataDocument: { enabled: settings.metadata_documents, ack: "draft-02" },
      registration: { enabled: settings.registration },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === settings.introspects },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => resourceServer(settings, resource),
        useGrantedResource: () => true,
      },
      revocation: { enabled: true },
    },
  });
  made.use(unbound);
  made.on("server_error", (_ctx, error) => console.error(error));
  made.on("grant.error", (_ctx, error) => console.error(error.message, error.error_detail ?? ""));
  registerTokenExchange(made, settings.jwks, (resource) => resourceServer(settings, resource));
  return made.callback();
}

let answer = provider(first);
process.on("SIGHUP", () => {
  answer = provider(read());
  console.log("read again");
});
const server = createServer((request, response) => answer(request, response));
server.listen(first.port, "127.0.0.1", () => console.log(`listening ${issuer}`));

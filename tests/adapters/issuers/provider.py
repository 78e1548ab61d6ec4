"""An identity provider on loopback that answers what the test tells it to: real sockets, any bytes, as late as wanted."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


@dataclass
class Answer:
    body: Any = b""  # bytes as they are, anything else as JSON
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after: asyncio.Event | None = None  # answered only when it is set
    slow_s: float = 0.0
    endless: bool = False


@dataclass
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


Answering = Answer | Callable[[Asked], Answer]


@dataclass
class Provider:
    port: int = 0
    answers: dict[str, Answering] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def counts(self) -> Counter[str]:
        return Counter(each.path for each in self.asked)

    def publish(self, *kids: str, headers: dict[str, str] | None = None) -> None:
        """From now on the keys of these names, made where they are new."""
        for kid in kids:
            self.keys.setdefault(kid, ec.generate_private_key(ec.SECP256R1()))
        self.answers["/jwks"] = Answer(key_set(**{kid: self.keys[kid] for kid in kids}), headers=headers or {})

    def discoverable(self, path: str = "/.well-known/openid-configuration", **members: Any) -> None:
        named = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "introspection_endpoint": f"{self.url}/introspect",
            **members,
        }
        self.answers[path] = Answer({name: value for name, value in named.items() if value is not None})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            await self._answer(Asked(method, path, headers, body), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.arrived.set()
        try:
            told = self.answers.get(asked.path, Answer(b"no such page", 404))
            answer = told(asked) if callable(told) else told
            if answer.after is not None:
                await answer.after.wait()
            await asyncio.sleep(answer.slow_s)
            await _send(answer, writer)
        finally:
            self.at_once -= 1


async def _send(answer: Answer, writer: asyncio.StreamWriter) -> None:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    length = {} if answer.endless else {"content-length": str(len(body))}
    lines = [f"HTTP/1.1 {answer.status} Told", *(f"{name}: {value}" for name, value in {**length, **answer.headers}.items())]
    writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + body)
    await writer.drain()
    while answer.endless:
        writer.write(b" " * 65536)
        await writer.drain()


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    running = Provider()
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()


def key_set(**keys: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return {
        "keys": [{**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": kid, "alg": "ES256"} for kid, key in keys.items()]
    }


def token(key: ec.EllipticCurvePrivateKey, kid: str, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, key, algorithm="ES256", headers={"typ": "at+jwt", "kid": kid})


def run(test: Callable[[], Awaitable[None]], *, within_s: float = 20.0) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(within_s):
            await test()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 — what is waited for has no event of its own
        await asyncio.sleep(0.005)

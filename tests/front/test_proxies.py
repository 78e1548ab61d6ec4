"""Behind a named proxy: it says who asks, nobody else does, and nobody comes past it in clear."""

import asyncio
import ipaddress
import json
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.front.proxies import Proxies, TrustedProxies

PROXY = TrustedProxies((ipaddress.ip_network("10.0.0.0/24"),))
PATIENCE_S = 5.0


async def source(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the address that it takes for the client's."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


def asked(peer: str | None, *lines: tuple[str, str], trusted: TrustedProxies = PROXY) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, body, and what was told of a refusal."""
    sent: list[MutableMapping[str, Any]] = []
    told: list[tuple[str, str]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nobody may read a body here")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in (("host", "localhost"), *lines)]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers, "client": None if peer is None else (peer, 1)}
    app = Proxies(
        source, trusted, frozenset({"mcp.example.com"}), lambda refusal, source_ip: told.append((refusal.cause, source_ip))
    )
    asyncio.run(asyncio.wait_for(app(scope, receive, send), PATIENCE_S))
    start, body = sent
    return start["status"], body["body"].decode(), told


def test_a_named_proxy_says_who_asks() -> None:
    assert asked("10.0.0.7", ("x-forwarded-for", "6.6.6.6, 192.0.2.1")) == (200, "192.0.2.1", [])
    assert asked("10.0.0.7") == (200, "10.0.0.7", [])
    assert asked("::ffff:10.0.0.7", ("x-forwarded-for", "192.0.2.1")) == (200, "192.0.2.1", [])


def test_the_header_that_is_set_is_the_only_one_that_counts() -> None:
    lines = (("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2"), ("x-real-ip", "192.0.2.3"))
    assert asked("10.0.0.7", *lines)[1] == "192.0.2.1"
    assert asked("10.0.0.7", *lines, trusted=replace(PROXY, header="forwarded"))[1] == "192.0.2.2"


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_loopback_may_connect_itself_and_says_nothing_for_others(peer: str) -> None:
    assert asked(peer, ("x-forwarded-for", "192.0.2.1")) == (200, peer, [])


@pytest.mark.parametrize("peer", ["10.0.1.1", "2001:db8::1", "", "nobody", None])
def test_nobody_comes_past_the_proxy_in_clear(peer: str | None) -> None:
    status, body, told = asked(peer, ("x-forwarded-for", "192.0.2.1"))
    assert (status, json.loads(body)["error"]["code"], told) == (403, -32600, [("proxy", peer or "")])


def test_where_we_serve_tls_ourselves_others_may_come_as_who_they_are() -> None:
    assert asked("203.0.113.5", ("x-forwarded-for", "192.0.2.1"), trusted=replace(PROXY, direct=True)) == (200, "203.0.113.5", [])


@pytest.mark.parametrize(("host", "status"), [("mcp.example.com", 200), ("localhost:8080", 200), ("evil.example", 403)])
def test_a_forwarded_host_must_be_ours_too(host: str, status: int) -> None:
    assert asked("10.0.0.7", ("x-forwarded-host", host))[0] == status
    assert asked("10.0.0.7", ("x-forwarded-host", f"mcp.example.com, {host}"))[0] == status


def test_a_forwarded_scheme_changes_nothing() -> None:
    assert asked("10.0.0.7", ("x-forwarded-proto", "http"))[0] == 200

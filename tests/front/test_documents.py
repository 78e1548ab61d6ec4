"""A well-known document over a real connection: read by anybody, from any page, under our own name only."""

import json
from collections.abc import Mapping

import pytest

from gateway.errors import Kind
from gateway.front.routing import Threshold, routes
from tests.front.peers import Connect

BODY = b'{"a":1}'
refusals: list[tuple[Kind, str]] = []


def document() -> tuple[int, Mapping[str, str], bytes]:
    return 200, {"cache-control": "max-age=60"}, BODY


def broken() -> tuple[int, Mapping[str, str], bytes]:
    raise ZeroDivisionError("the secret of the house")


APP = routes(
    {}, {"/.well-known/a": document, "/.well-known/broken": broken},
    lambda refusal, source_ip: refusals.append((refusal.kind, source_ip)), Threshold(hosts=frozenset({"mcp.example.com"})),
)  # fmt: skip


def answered(connect: Connect, method: str, path: str = "/.well-known/a", **headers: str) -> tuple[int, dict[str, str], bytes]:
    refusals.clear()
    peer = connect(APP)()
    told = {"host": "localhost", "connection": "close", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    peer.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
    head, _, body = peer.rest().partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    seen = dict(line.split(": ", 1) for line in rest)
    return (
        int(first.split()[1]),
        {name: value for name, value in seen.items() if name not in {"date", "connection", "server"}},
        body,
    )


READ = {
    "access-control-allow-origin": "*",
    "cache-control": "max-age=60",
    "content-length": "7",
    "content-type": "application/json",
}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "mcp.example.com"])
def test_anybody_reads_a_document_and_it_leaves_no_trace(connect: Connect, host: str) -> None:
    assert answered(connect, "GET", host=host, origin="https://any.example") == (200, READ, BODY)
    assert answered(connect, "GET", "/.well-known/a/", host=host) == (200, READ, BODY)
    assert answered(connect, "HEAD", host=host) == (200, READ, b"")
    assert refusals == []


def test_a_page_may_ask_first(connect: Connect) -> None:
    asked = {"origin": "https://any.example", "access-control-request-method": "GET"}
    assert answered(connect, "OPTIONS", **asked) == (
        204,
        {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "GET, HEAD, OPTIONS",
            "access-control-allow-headers": "*",
            "access-control-max-age": "86400",
            "allow": "GET, HEAD, OPTIONS",
        },
        b"",
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_document_is_only_read(connect: Connect, method: str) -> None:
    status, headers, body = answered(connect, method, **{"content-length": "0"})
    assert (status, headers["allow"], json.loads(body)["error"]["code"]) == (405, "GET, HEAD, OPTIONS", -32600)
    assert refusals == [(Kind.METHOD_NOT_ALLOWED, "127.0.0.1")]


def test_a_page_that_rebinds_its_name_gets_no_document(connect: Connect) -> None:
    status, headers, body = answered(connect, "GET", host="evil.example")
    assert (status, "cache-control" in headers, BODY in body) == (403, False, False)
    assert refusals == [(Kind.FORBIDDEN_ORIGIN, "127.0.0.1")]


def test_a_document_that_fails_is_a_500_that_tells_nothing(connect: Connect) -> None:
    status, _, body = answered(connect, "GET", "/.well-known/broken")
    assert (status, b"secret" in body) == (500, False)


def test_a_document_that_is_none_is_404(connect: Connect) -> None:
    assert answered(connect, "GET", "/.well-known/b")[0] == 404
    assert refusals == [(Kind.NO_SUCH_ENDPOINT, "127.0.0.1")]

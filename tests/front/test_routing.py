"""Every path is answered in JSON-RPC and none is redirected; a defect tells the caller nothing."""

import asyncio
import json
import logging
from collections.abc import MutableMapping
from ipaddress import ip_network
from typing import Any, cast

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Kind
from gateway.front.endpoint import Endpoint
from gateway.front.proxies import TrustedProxies
from gateway.front.routing import Threshold, routes
from gateway.identity.challenge import surface_path

PATIENCE_S = 5.0


class Stub:
    """Stands where a surface's endpoint stands, and says which one it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": self._name.encode()})


class Broken:
    """Fails before it answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("the secret of the house")


ENDPOINTS = cast("dict[str, Endpoint]", {"default": Stub("default"), "red": Stub("red"), "broken": Broken()})


def _app(threshold: Threshold | None = None) -> ASGIApp:
    return routes(ENDPOINTS, {}, lambda refusal, source_ip: refused.append((refusal.kind, source_ip)), threshold)


def answered(
    asked: str, method: str = "POST", app: ASGIApp | None = None, *headers: tuple[bytes, bytes]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the response."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nobody may read a body here")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": asked, "root_path": "", "query_string": b"", "headers": [*headers]}
    scope["client"] = ("192.0.2.7", 1)
    refused.clear()
    asyncio.run(asyncio.wait_for((app or _app())(scope, receive, send), PATIENCE_S))
    start, body = sent
    return start["status"], start["headers"], body["body"]


refused: list[tuple[Kind, str]] = []


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("surface", ["default", "red"])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "PUT"])
def test_a_surface_answers_at_its_path_with_and_without_a_slash_whatever_the_method(method: str, surface: str, end: str) -> None:
    assert answered(surface_path(surface) + end, method) == (299, [], surface.encode())


@pytest.mark.parametrize("asked", ["/", "/MCP", "/mcp/nothing", "/mcp/red/x", "/mcp//red", "/mcp/default", "/metrics"])
def test_a_path_that_is_none_is_404_with_a_json_rpc_body(asked: str) -> None:
    status, headers, body = answered(asked)
    assert (status, dict(headers)[b"content-type"]) == (404, b"application/json")
    assert json.loads(body) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32600, "message": "There is no MCP endpoint at this path; the default one is /mcp."},
    }


def test_a_defect_is_a_500_that_tells_nothing_a_line_in_the_audit_and_a_log_line_that_tells_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "gateway.front"):
        status, _, body = answered("/mcp/broken")
    assert status == 500
    assert json.loads(body)["error"] == {
        "code": -32603,
        "message": "The gateway failed; nothing more is known. Tell its operator.",
    }
    assert "the secret of the house" in caplog.text
    assert refused == [(Kind.INTERNAL, "192.0.2.7")]


def test_a_defect_behind_a_proxy_is_recorded_of_who_asked() -> None:
    app = _app(Threshold(proxies=TrustedProxies((ip_network("192.0.2.0/24"),))))
    status, _, _ = answered("/mcp/broken", "POST", app, (b"x-forwarded-for", b"203.0.113.9"))
    assert (status, refused) == (500, [(Kind.INTERNAL, "203.0.113.9")])

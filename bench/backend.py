"""A backend that costs next to nothing: raw ASGI, both eras, answers serialised beforehand. So the gateway is what is measured.

`python -m bench.backend --tools 200` prints `port <n>`; /mcp speaks both eras, told apart by the version header.
"""

import argparse
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
import uvloop

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

MODERN = "2026-07-28"
SESSION = (b"mcp-session-id", b"bench")
TEXT = "All work and no play makes a dull benchmark. " * 1112  # 50,040 characters
INFO = {"name": "bench", "version": "1"}


def tool(name: str) -> dict[str, Any]:
    """A definition of about 1 KB, as tools in the field have."""
    return {
        "name": name,
        "description": f"{name}: " + "looks something up and says what it found. " * 8,
        "inputSchema": {
            "type": "object",
            "properties": {
                each: {"type": "string", "description": "a value that the tool needs to do its work " * 2}
                for each in ("text", "region", "owner")
            },
            "required": ["text"],
        },
        "annotations": {"readOnlyHint": True},
    }


class Backend:
    """The ASGI application."""

    def __init__(self, tools: int) -> None:
        named = [tool(name) for name in ("echo", "big", "stream")] + [tool(f"tool{number:04}") for number in range(tools - 3)]
        self._lists = {
            "modern": _raw({"tools": named, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "private"}),
            "legacy": _raw({"tools": named}),
        }
        self._calls = {
            (name, era): _raw(_result(text, era))
            for era in ("modern", "legacy")
            for name, text in (("echo", "hello"), ("big", TEXT), ("stream", "done"))
        }

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        headers = dict(scope["headers"])
        body = b""
        while scope["method"] == "POST":
            piece = await receive()
            body += piece.get("body", b"")
            if not piece.get("more_body"):
                break
        if scope["method"] != "POST":
            await _answer(send, 405, b"")
            return
        request = json.loads(body)
        era = "modern" if headers.get(b"mcp-protocol-version") == MODERN.encode() else "legacy"
        if "id" not in request:
            await _answer(send, 202, b"")
            return
        await self._request(request, era, send)

    async def _request(self, request: dict[str, Any], era: str, send: Send) -> None:
        method, params = request["method"], request.get("params", {})
        if method == "tools/call" and params["name"] == "stream":
            await self._stream(request, era, send)
            return
        if method == "tools/call":
            result = self._calls[params["name"] if params["name"] == "big" else "echo", era]
        elif method == "tools/list":
            result = self._lists[era]
        elif method == "server/discover" and era == "modern":
            capabilities: dict[str, Any] = {"tools": {}}
            result = _raw(
                {
                    "resultType": "complete",
                    "supportedVersions": [MODERN],
                    "capabilities": capabilities,
                    "serverInfo": INFO,
                    "ttlMs": 60_000,
                    "cacheScope": "private",
                }
            )
        elif method == "initialize" and era == "legacy":
            result = _raw({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": INFO})
        else:
            error = {"code": -32601, "message": "Method not found"}
            await _answer(send, 404 if era == "modern" else 200, _raw({"jsonrpc": "2.0", "id": request["id"], "error": error}))
            return
        whole = b'{"jsonrpc":"2.0","id":' + json.dumps(request["id"]).encode() + b',"result":' + result + b"}"
        await _answer(send, 200, whole)

    async def _stream(self, request: dict[str, Any], era: str, send: Send) -> None:
        """Twenty progress notifications and the result, as fast as they go."""
        token = request["params"].get("_meta", {}).get("progressToken")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream"), SESSION]})
        for step in range(20):
            params = {"progressToken": token, "progress": step + 1, "total": 20, "message": f"step {step + 1}"}
            event = _raw({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
            await send({"type": "http.response.body", "body": b"event: message\ndata: " + event + b"\n\n", "more_body": True})
        last = b'{"jsonrpc":"2.0","id":' + json.dumps(request["id"]).encode() + b',"result":' + self._calls["stream", era] + b"}"
        await send({"type": "http.response.body", "body": b"event: message\ndata: " + last + b"\n\n"})


def _result(text: str, era: str) -> dict[str, Any]:
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": False}
    return {**result, "resultType": "complete"} if era == "modern" else result


def _raw(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), SESSION]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=int, default=10)
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"port {listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(Backend(options.tools), log_level="warning", access_log=False, lifespan="off", loop="none", ws="none")
    server = uvicorn.Server(config)
    uvloop.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()

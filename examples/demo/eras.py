"""Makes a server of the official SDK, which speaks both eras, speak one only, as servers in the field do."""

import argparse
import socket
from typing import Literal

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MODERN = b"2026-07-28"


class OneEra:
    """Turns away the other era's requests as a server does that has never heard of it."""

    def __init__(self, app: ASGIApp, era: Literal["modern", "legacy"]) -> None:
        self.app = app
        self.era = era

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        version = dict(scope["headers"]).get(b"mcp-protocol-version")
        if (version == MODERN) == (self.era == "modern"):
            await self.app(scope, receive, send)
            return
        problem = {"code": -32600, "message": f"unsupported protocol version {(version or b'').decode('latin-1')}"}
        await JSONResponse({"jsonrpc": "2.0", "id": None, "error": problem}, status_code=400)(scope, receive, send)


def serve(server: MCPServer, era: Literal["modern", "legacy"]) -> None:
    """Serve on 127.0.0.1 until told to stop; with `--port 0` on a free port, printed as `port <n>`."""
    parser = argparse.ArgumentParser(description=f"The demo server {server.name} ({era} era).")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    listener = socket.create_server((options.host, options.port))
    print(f"port {listener.getsockname()[1]}", flush=True)
    app = OneEra(server.streamable_http_app(host=options.host), era)
    config = uvicorn.Config(app, log_level="warning", lifespan="on")
    uvicorn.Server(config).run(sockets=[listener])

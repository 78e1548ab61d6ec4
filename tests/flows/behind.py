"""What lies behind: MCP servers that ask for a credential, and an authorization server that issues some. All remember what came.

Each MCP server is at `/<name>/mcp` and offers the tool `echo`. The token endpoint is at `/token`, its metadata beside it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Lock
from typing import Any

import jwt
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

CHALLENGE = 'Bearer resource_metadata="https://theirs.example.com/.well-known", error="invalid_token", scope="their:scope"'
LONGEST_S = 30.0
TOOL = {"name": "echo", "description": "Says it again.", "inputSchema": {"type": "object"}}


@dataclass(frozen=True)
class Came:
    """One request to an MCP server."""

    method: str  # of JSON-RPC, or of HTTP where there is no message
    arguments: dict[str, Any]
    headers: dict[str, str]  # lower-case names

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(repr=False)
class Behind:
    """Safe to read while it answers."""

    url: str = ""
    came: dict[str, list[Came]] = field(default_factory=lambda: defaultdict(list))
    forms: list[dict[str, str]] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)  # how the client authenticated to the token endpoint
    issued: dict[str, str] = field(default_factory=dict)  # token -> subject
    refused: set[str] = field(default_factory=set)  # tokens, or names of servers, that are answered with 401
    says: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)  # to calls of a server: a status, a result or error
    legacy: set[str] = field(default_factory=set)
    down: bool = False  # the token endpoint
    flowing: Event = field(default_factory=Event)
    prefix: str = "issued"
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: Lock = field(default_factory=Lock)

    def calls(self, name: str) -> list[Came]:
        return [each for each in self.came[name] if each.method == "tools/call"]

    def forget(self) -> None:
        with self._lock:
            self.came.clear()
            self.forms.clear()
            self.proofs.clear()

    # --- the authorization server ---

    def metadata(self, request: Request) -> Response:
        return _json({"issuer": self.url, "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys"})

    def token(self, request: Request) -> Response:
        self.flowing.wait(LONGEST_S)
        form = request.form.to_dict()
        with self._lock:
            self.forms.append(form)
            self.proofs.append(request.headers.get("Authorization", ""))
            if self.down:
                return _json({"error": "server_error", "error_description": form.get("subject_token", "none")}, 503)
            subject = "gateway"
            if "subject_token" in form:
                subject = jwt.decode(form["subject_token"], options={"verify_signature": False})["sub"]
            token = f"{self.prefix}-{subject}-{next(self._numbers)}"
            self.issued[token] = subject
        return _json({"access_token": token, "token_type": "Bearer", "expires_in": 600})

    # --- the MCP servers ---

    def mcp(self, request: Request) -> Response:
        name = request.path.split("/")[1]
        message = json.loads(request.data) if request.data else {}
        params = message.get("params", {})
        headers = {key.lower(): value for key, value in request.headers.items()}
        came = Came(message.get("method", request.method), params.get("arguments", {}), headers)
        with self._lock:
            self.came[name].append(came)
            if name in self.refused or came.token in self.refused:
                return Response(f"your token {came.token} is bad", 401, {"WWW-Authenticate": CHALLENGE, "X-Theirs": "1"})
        if request.method == "GET":
            return Response(status=405)
        if "id" not in message:
            return Response(status=202)
        return self._answered(name, message["id"], came)

    def _answered(self, name: str, id: int, came: Came) -> Response:
        legacy = name in self.legacy
        headers = {}
        result: dict[str, Any] = {} if legacy else {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        match came.method:
            case "server/discover" if legacy:
                return _json({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}}, 400)
            case "server/discover":
                result |= {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
            case "initialize":
                result = {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "s", "version": "1"},
                }
                headers["Mcp-Session-Id"] = f"session-{next(self._numbers)}"
            case "tools/list":
                result |= {"tools": [TOOL]}
            case "tools/call" if name in self.says:
                status, said = self.says[name]
                return _json({"jsonrpc": "2.0", "id": id, **said}, status, {"WWW-Authenticate": CHALLENGE})
            case "tools/call":
                result |= {"content": [{"type": "text", "text": json.dumps(came.arguments)}]}
            case _:
                return _json({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}})
        return _json({"jsonrpc": "2.0", "id": id, "result": result}, 200, headers)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers or {}, content_type="application/json")


@contextmanager
def behind(*names: str, legacy: tuple[str, ...] = ()) -> Iterator[Behind]:
    world = Behind(legacy=set(legacy))
    world.flowing.set()
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        world.url = server.url_for("").rstrip("/")
        server.expect_request("/token", method="POST").respond_with_handler(world.token)
        server.expect_request("/.well-known/openid-configuration").respond_with_handler(world.metadata)
        for name in names:
            server.expect_request(f"/{name}/mcp").respond_with_handler(world.mcp)
        yield world
        world.flowing.set()

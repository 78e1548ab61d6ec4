"""An MCP server of the legacy era that lists for each session what is that session's alone, and says what it saw of whom.

Session 7 offers the tools `whoami`, `own_7` and `second_7`, the resources `note://7/1` and `note://7/2`, a template for more,
and cursors that begin with 7; the prompts are everybody's. What reaches it in another's name goes to `wrongs`.
"""

import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Lock
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

OWN_HEADERS = ("Authorization", "X-MCP-Gateway-Assertion")
NEVER = ("Cookie", "X-End-User", "Forwarded", "X-Forwarded-For")
LONGEST_S = 30.0
PROMPTS = ("only_ann", "only_bob", "only_cy")


class Mirror:
    """What it has seen so far, by the number of the session; safe to read while it answers."""

    def __init__(self) -> None:
        self.identities: dict[int, set[str]] = defaultdict(set)  # session -> for whom the requests in it said they were
        self.methods: dict[int, list[str]] = defaultdict(list)
        self.wrongs: list[str] = []
        self.added: dict[int, list[str]] = defaultdict(list)  # session -> further tools
        self.description = "Says who you are."
        self.flowing = Event()  # cleared: lists hang
        self.flowing.set()
        self._numbers = count(1)
        self._lock = Lock()

    def answer(self, request: Request) -> Response:
        if b"/list" in request.data:
            self.flowing.wait(LONGEST_S)
        with self._lock:
            self.wrongs += [f"{name} crossed" for name in NEVER if name in request.headers]
            if request.method == "GET":
                return Response(status=405)
            session = int(request.headers.get("Mcp-Session-Id", "session-0").partition("-")[2])
            if request.method == "DELETE":
                return Response(status=200)
            message = json.loads(request.data)
            if message["method"] == "initialize":
                session = next(self._numbers)
            elif session not in self.methods:
                return Response(status=404)
            self.identities[session].add(_identity(request))
            self.methods[session].append(message["method"])
            if "id" not in message:
                return Response(status=202)
            told = self._said(session, message["method"], message.get("params", {}))
            body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **told})
            return Response(body, content_type="application/json", headers={"Mcp-Session-Id": f"session-{session}"})

    def _said(self, session: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if (cursor := params.get("cursor")) is not None and cursor != f"{session}:next":
            self.wrongs.append(f"the cursor {cursor} came in session {session}")
            return {"error": {"code": -32602, "message": "unknown cursor"}}
        match method:
            case "initialize":
                capabilities = {"tools": {}, "prompts": {}, "resources": {"subscribe": True}}
                info = {"name": "mirror", "version": "1"}
                return {"result": {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info}}
            case "tools/list":
                names = ["whoami", f"own_{session}"] if cursor is None else [f"second_{session}", *self.added[session]]
                tools = [{"name": name, "description": self.description, "inputSchema": {"type": "object"}} for name in names]
                return {"result": {"tools": tools, **_following(session, cursor)}}
            case "prompts/list":
                return {"result": {"prompts": [{"name": name} for name in PROMPTS]}}
            case "resources/list":
                resources = [{"uri": f"note://{session}/{1 if cursor is None else 2}", "name": "note"}]
                return {"result": {"resources": resources, **_following(session, cursor)}}
            case "resources/templates/list":
                return {"result": {"resourceTemplates": [{"uriTemplate": f"note://{session}/{{name}}", "name": "notes"}]}}
            case "tools/call":
                if params["name"].partition("_")[2] not in {"", str(session)}:
                    self.wrongs.append(f"{params['name']} was called in session {session}")
                return {"result": {"content": [{"type": "text", "text": str(session)}]}}
            case "resources/read":
                return {"result": {"contents": [{"uri": params["uri"], "mimeType": "text/plain", "text": str(session)}]}}
            case "resources/subscribe" | "resources/unsubscribe":
                return {"result": {}}
            case _:
                return {"error": {"code": -32601, "message": "no such method"}}


def _following(session: int, cursor: str | None) -> dict[str, str]:
    return {"nextCursor": f"{session}:next"} if cursor is None else {}


def _identity(request: Request) -> str:
    """Of a gateway-signed assertion the user it names and the agent; of anything else how it was sent."""
    for name in OWN_HEADERS:
        token = request.headers.get(name, "").removeprefix("Bearer ")
        if token.count(".") == 2:
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            return json.dumps([claims.get("sub_iss"), claims["sub"], claims.get("agent")])
    return "nobody"


@contextmanager
def mirror() -> Iterator[tuple[Mirror, str]]:
    """The server's memory, and its URL."""
    seen = Mirror()
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        server.expect_request("/mcp").respond_with_handler(seen.answer)
        yield seen, server.url_for("/mcp")

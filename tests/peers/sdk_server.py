"""A real MCP server of the official SDK: `python -m tests.peers.sdk_server --port 0 --era modern` prints `port <n>`.

It speaks one era, as servers in the field do, or both; over Streamable HTTP, or with `--stdio` over its standard input
and output. `GET /counts` tells how often each method was asked for, so that a test can say what was *not* sent.
`started_server` runs it as a child of the test.
"""

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import (
    CallToolResult,
    Completion,
    EmptyResult,
    InputRequiredResult,
    PromptReference,
    ResourceLink,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    ToolAnnotations,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Era = Literal["modern", "legacy", "both"]
ROOT = Path(__file__).resolve().parents[2]
MODERN = b"2026-07-28"
READS = ToolAnnotations(read_only_hint=True)

warnings.simplefilter("ignore")  # the SDK deprecates what legacy peers still use


class Forecast(BaseModel):
    city: str
    celsius: float


class Choice(BaseModel):
    go_on: bool


class Everything:
    """One server with one of everything, and its counts."""

    def __init__(self, name: str) -> None:
        self.counts: Counter[str] = Counter()
        self.sessions: list[Any] = []  # of legacy clients, to tell them of changes
        self.server = MCPServer(name, instructions=f"Server {name} of the tests.", version="1.0", middleware=[self._observe])
        self._tools()
        self._prompts_and_resources()
        self._legacy_handlers()

    async def _observe(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        self.counts[ctx.method] += 1
        if ctx.method == "notifications/initialized":
            self.sessions.append(ctx.session)
        try:
            return await call_next(ctx)
        except asyncio.CancelledError:
            self.counts["cancelled"] += 1
            raise

    def _tools(self) -> None:
        tool = self.server.tool

        @tool(annotations=READS)
        def echo(text: str) -> str:
            """The text again."""
            return text

        @tool(annotations=READS)
        def add(a: int, b: int) -> int:
            """The sum of two integers."""
            return a + b

        @tool(annotations=READS)
        def forecast(city: Annotated[str, Field(json_schema_extra={"x-mcp-header": "City"})]) -> Forecast:
            """A structured result; the city travels in a header, too."""
            return Forecast(city=city, celsius=21.5)

        @tool(annotations=READS)
        async def slow(ctx: Context, steps: int = 3, pause_s: float = 0.02) -> str:
            """Takes a moment and reports how far it is."""
            for step in range(1, steps + 1):
                await ctx.report_progress(step, steps, f"step {step}")
                await asyncio.sleep(pause_s)
            return f"{steps} steps done"

        @tool(annotations=READS)
        async def log(ctx: Context, text: str) -> str:
            """Says the text at each of three levels."""
            for level in ("debug", "info", "error"):
                await ctx.session.send_log_message(level, text, "peer", related_request_id=ctx.request_id)
            return "logged"

        @tool(annotations=READS)
        def big(size: int) -> str:
            """So many bytes of text."""
            return "x" * size

        @tool()
        def fail(message: str) -> str:
            """Always fails."""
            raise ValueError(message)

        @tool(annotations=READS)
        def link(uri: str = "doc://guide") -> list[ResourceLink | TextContent]:
            """A link to a resource, and a word on it."""
            return [ResourceLink(type="resource_link", name="guide", uri=uri), TextContent(type="text", text=f"see {uri}")]

        @tool()
        async def ask(ctx: Context) -> CallToolResult | InputRequiredResult:
            """Asks the client's user (legacy: a request to the client; modern: input_required)."""
            if ctx.protocol_version == MODERN.decode():
                return InputRequiredResult(request_state="waiting")
            answer = await ctx.elicit("Shall I go on?", Choice)
            return CallToolResult(content=[TextContent(type="text", text=answer.action)])

        @tool()
        def crash() -> str:
            """Ends the server's process."""
            os._exit(3)

        @tool()
        async def change(ctx: Context, kind: Literal["tools", "prompts", "resources", "updated"], uri: str = "") -> str:
            """Tells every listener that something changed; `tools` adds one."""
            if kind == "tools":
                self.server.add_tool(echo, name=f"echo_{self.counts['tools/call']}")
            await self._announce(ctx, kind, uri)
            return "told"

        @tool(annotations=READS)
        def environment() -> list[str]:
            """The names of the environment's variables."""
            return sorted(os.environ)

        @tool(annotations=READS)
        def pid() -> int:
            """Which process answers."""
            return os.getpid()

    async def _announce(self, ctx: Context, kind: str, uri: str) -> None:
        notify = {
            "tools": ctx.notify_tools_changed,
            "prompts": ctx.notify_prompts_changed,
            "resources": ctx.notify_resources_changed,
        }
        await (notify[kind]() if kind in notify else ctx.notify_resource_updated(uri))
        for session in self.sessions:
            if kind == "updated":
                await session.send_resource_updated(uri)
            elif kind == "tools":
                await session.send_tool_list_changed()
            elif kind == "prompts":
                await session.send_prompt_list_changed()
            else:
                await session.send_resource_list_changed()

    def _prompts_and_resources(self) -> None:
        server = self.server

        @server.prompt()
        def greet(name: str) -> str:
            """Ask for a greeting."""
            return f"Greet {name} warmly."

        @server.resource("doc://guide", mime_type="text/plain")
        def guide() -> str:
            """The guide."""
            return "Read the guide."

        @server.resource("doc://pages/{number}", mime_type="text/plain")
        def page(number: str) -> str:
            """One page."""
            return f"Page {number}."

        @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # the SDK leaves it without types
        async def complete(ref: Any, argument: Any, context: Any) -> Completion | None:
            names = ["ada", "ben", "bea"] if isinstance(ref, PromptReference) else ["1", "2", "10"]
            return Completion(values=[each for each in names if each.startswith(argument.value)])

        @server.custom_route("/counts", methods=["GET"])  # type: ignore[untyped-decorator]
        async def counts(request: Request) -> JSONResponse:
            return JSONResponse(self.counts)

    def _legacy_handlers(self) -> None:
        async def accept(ctx: Any, params: Any) -> EmptyResult:
            return EmptyResult()

        low = self.server._lowlevel_server
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
        low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)
        low.add_request_handler("logging/setLevel", SetLevelRequestParams, accept)


class OneEra:
    """Turns away the other era's requests as a server does that has never heard of it; counts the ends of sessions."""

    def __init__(self, app: ASGIApp, era: Era, counts: Counter[str]) -> None:
        self._app = app
        self._era = era
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp":
            if scope["method"] in ("DELETE", "GET"):
                self._counts[scope["method"]] += 1
            version = dict(scope["headers"]).get(b"mcp-protocol-version")
            if self._era != "both" and (version == MODERN) != (self._era == "modern"):
                problem = {"code": -32600, "message": f"unsupported protocol version {(version or b'').decode('latin-1')}"}
                answer = JSONResponse({"jsonrpc": "2.0", "id": None, "error": problem}, status_code=400)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="peer")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--era", choices=("modern", "legacy", "both"), default="both")
    parser.add_argument("--json", action="store_true", help="legacy answers as JSON instead of streams")
    parser.add_argument("--stateless", action="store_true", help="legacy without sessions")
    parser.add_argument("--stdio", action="store_true")
    options = parser.parse_args()
    peer = Everything(options.name)
    if options.stdio:
        peer.server.run("stdio")
        return
    listener = socket.create_server(("127.0.0.1", options.port))
    print(f"port {listener.getsockname()[1]}", flush=True)
    app = peer.server.streamable_http_app(json_response=options.json, stateless_http=options.stateless)
    config = uvicorn.Config(OneEra(app, options.era, peer.counts), log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: where it is, and the process to stop or kill."""

    url: str
    port: int
    process: subprocess.Popen[str]


@contextmanager
def started_server(*options: str, port: int = 0) -> Iterator[Running]:
    """The server as a child process, with `options` as on the command line; killed when the block ends."""
    command = [sys.executable, "-m", "tests.peers.sdk_server", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.match(r"port (\d+)", line)
        assert found, f"the server did not start: {line!r}"
        yield Running(f"http://127.0.0.1:{found[1]}/mcp", int(found[1]), process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    main()

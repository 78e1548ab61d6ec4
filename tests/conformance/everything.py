"""A conformant server of the official SDK with every fixture of the suite, in both eras.

`python -m tests.conformance.everything --port 0` prints `port <n>`; the endpoint is /mcp.
"""

import argparse
import asyncio
import hashlib
import hmac
import re
import secrets
import socket
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import mcp_types as types
import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError

from tests.conformance import fixtures
from tests.conformance.fixtures import text

INVALID_PARAMS = -32602
MISSING_CAPABILITY = -32021
PAUSE_S = 0.05  # what the suite asks for between two notifications
RETRY_MS = 500
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read")

warnings.simplefilter("ignore")  # the SDK deprecates what legacy peers still use

Answer = dict[str, Any]
Context = Any  # ServerRequestContext: its type parameters say nothing here


class Events(EventStore):
    """Every event of every stream, in order, for clients that come back."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdecimal() or not 0 < int(last_event_id) <= len(self._events):
            return None
        position = int(last_event_id)
        stream = self._events[position - 1][0]
        for number, (owner, message) in enumerate(self._events[position:], position + 1):
            if owner == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class Announcing(Server[Any]):
    """A server that tells legacy clients beforehand that its lists change, as modern ones are told anyway."""

    def create_initialization_options(self, *unused: Any, **also_unused: Any) -> InitializationOptions:
        return super().create_initialization_options(NotificationOptions(prompts_changed=True, tools_changed=True))


class Everything:
    """The server's answers; what changes is only whether the extra tool and prompt are there."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._bus = InMemorySubscriptionBus()
        self._extra: dict[Literal["tool", "prompt"], bool] = {"tool": False, "prompt": False}
        self._sessions: list[Any] = []  # of legacy clients, to tell them of changes

    def server(self) -> Server[Any]:
        server = Announcing(
            "everything",
            version="1.0",
            cache_hints={method: CacheHint(ttl_ms=0, scope="private") for method in LISTS},  # type: ignore[misc]
            get_tool_input_schema=lambda name: fixtures.tool(name)["inputSchema"] if name in fixtures.TOOLS else None,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.prompt,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read_resource,
            on_subscribe_resource=self.accept,
            on_unsubscribe_resource=self.accept,
            on_completion=self.complete,
            on_set_logging_level=self.accept,
            on_subscriptions_listen=ListenHandler(self._bus),
        )
        server.middleware.append(self._remember)
        return server

    async def _remember(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.method == "notifications/initialized":
            self._sessions.append(ctx.session)
        return await call_next(ctx)

    async def accept(self, context: Context, params: Any) -> types.EmptyResult:
        return types.EmptyResult()

    async def list_tools(self, context: Context, params: Any) -> types.ListToolsResult:
        names = [*fixtures.TOOLS, *(["test_extra"] if self._extra["tool"] else [])]
        return types.ListToolsResult.model_validate({"tools": [fixtures.tool(name) for name in names]})

    async def list_prompts(self, context: Context, params: Any) -> types.ListPromptsResult:
        extra = [{"name": "test_extra", "description": "Comes and goes"}] if self._extra["prompt"] else []
        return types.ListPromptsResult.model_validate({"prompts": [*fixtures.PROMPTS, *extra]})

    async def list_resources(self, context: Context, params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult.model_validate({"resources": fixtures.RESOURCES})

    async def list_templates(self, context: Context, params: Any) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": fixtures.TEMPLATES})

    async def read_resource(self, context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        uri = str(params.uri)
        found = fixtures.CONTENTS.get(uri)
        if templated := re.fullmatch(r"test://template/([^/]+)/data", uri):
            told = f'{{"id":"{templated[1]}","templateTest":true,"data":"Data for ID: {templated[1]}"}}'
            found = {"mimeType": "application/json", "text": told}
        if found is None:
            raise MCPError(INVALID_PARAMS, f"Resource not found: {uri}", {"uri": uri})
        return types.ReadResourceResult.model_validate({"contents": [{"uri": uri, **found}]})

    async def complete(self, context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        values = [each for each in ("testing", "test", "other") if each.startswith(params.argument.value)]
        return types.CompleteResult.model_validate({"completion": {"values": values, "total": len(values), "hasMore": False}})

    async def prompt(
        self, context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        if params.name in fixtures.INPUT_ROUNDS and context.protocol_version >= "2026":
            asked = self._asked(context, params)
            if asked is not None:
                return asked
        messages = fixtures.prompt_messages(params.name, params.arguments or {})
        if messages is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
        return types.GetPromptResult.model_validate({"messages": messages})

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        if params.name in fixtures.INPUT_ROUNDS:
            asked = self._asked(context, params)
            if asked is not None:
                return asked
            return _told(f"Hello, {params.input_responses}: state-ok")
        if params.name in fixtures.PLAIN_RESULTS:
            return types.CallToolResult.model_validate(fixtures.PLAIN_RESULTS[params.name])
        if params.name in fixtures.ELICITED:
            return await _elicit(context, "Please answer", fixtures.ELICITED[params.name], "Elicitation completed")
        return await self._act(context, params.name, params.arguments or {})

    async def _act(self, context: Context, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        match name:
            case "test_tool_with_logging" | "test_logging_tool":
                for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
                    await context.session.send_log_message("info", words, related_request_id=context.request_id)
                    await asyncio.sleep(PAUSE_S)
            case "test_tool_with_progress" | "test_streaming_elicitation":
                for done in (0, 50, 100):
                    await context.session.report_progress(done, 100, f"{done} of 100")
                    await asyncio.sleep(PAUSE_S)
            case "test_sampling":
                return await _sample(context, arguments["prompt"])
            case "test_elicitation":
                return await _elicit(context, arguments["message"], fixtures.ASKED_USER, "User response")
            case "test_missing_capability":
                if "sampling" not in _declared(context):
                    needed: Answer = {"requiredCapabilities": {"sampling": {}}}
                    raise MCPError(MISSING_CAPABILITY, "This tool needs a client that can sample", needed)
            case "test_trigger_tool_change":
                self._extra["tool"] = not self._extra["tool"]
                await self._bus.publish(ToolsListChanged())
                for session in self._sessions:
                    await session.send_tool_list_changed()
            case "test_trigger_prompt_change":
                self._extra["prompt"] = not self._extra["prompt"]
                await self._bus.publish(PromptsListChanged())
                for session in self._sessions:
                    await session.send_prompt_list_changed()
            case "test_reconnection":
                if context.close_sse_stream is not None:
                    await asyncio.sleep(PAUSE_S)
                    await context.close_sse_stream()
                    await asyncio.sleep(PAUSE_S)
            case "test_custom_header":
                return _told(f"region {arguments['region']}")
            case "json_schema_2020_12_tool" | "test_extra":
                pass
            case _:
                raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}")
        return _told(f"{name} is done")

    def _asked(self, context: Context, params: Any) -> types.InputRequiredResult | None:
        """What the tool or prompt must still ask for; None once every round has its answers."""
        rounds = fixtures.INPUT_ROUNDS[params.name]
        at = self._round(params.name, params.request_state) if params.request_state is not None else 0
        declared = _declared(context)
        wanted = _possible(rounds[at], declared)
        if not wanted:
            needed: Answer = {fixtures.NEEDED_CAPABILITY[each["method"]]: {} for each in rounds[at].values()}
            raise MCPError(
                MISSING_CAPABILITY, "The client declares nothing that could be asked", {"requiredCapabilities": needed}
            )
        if wanted.keys() <= _sensible(params.input_responses or {}).keys():
            at += 1
            if at == len(rounds):
                return None
            wanted = _possible(rounds[at], declared)
        asked: Answer = {"resultType": "input_required", "inputRequests": wanted}
        if params.name in fixtures.STATEFUL:
            asked["requestState"] = self._state(params.name, at)
        return types.InputRequiredResult.model_validate(asked)

    def _state(self, name: str, at: int) -> str:
        words = f"{name}.{at}"
        return f"{words}.{hmac.new(self._key, words.encode(), hashlib.sha256).hexdigest()}"

    def _round(self, name: str, state: str) -> int:
        for at in range(len(fixtures.INPUT_ROUNDS[name])):
            if hmac.compare_digest(state.encode(), self._state(name, at).encode()):
                return at
        raise MCPError(INVALID_PARAMS, "requestState failed its integrity check")


def _told(words: str) -> types.CallToolResult:
    return types.CallToolResult.model_validate({"content": [text(words)]})


def _declared(context: Context) -> Answer:
    """The capabilities that the client has declared: of this request, or of its session."""
    capabilities = context.session.client_capabilities
    return capabilities.model_dump(by_alias=True, exclude_none=True) if capabilities else {}


def _possible(requests: Mapping[str, Answer], declared: Mapping[str, Any]) -> dict[str, Answer]:
    return {key: asked for key, asked in requests.items() if fixtures.NEEDED_CAPABILITY[asked["method"]] in declared}


def _sensible(responses: Mapping[str, Any]) -> Answer:
    """The answers that are objects at all; the SDK has checked no more than that."""
    return {key: answer for key, answer in responses.items() if answer is not None}


async def _sample(context: Context, words: str) -> types.CallToolResult:
    if "sampling" not in _declared(context):
        raise MCPError(INVALID_PARAMS, "the client does not sample")
    message = types.SamplingMessage.model_validate({"role": "user", "content": text(words)})
    answer = await context.session.create_message([message], max_tokens=100, related_request_id=context.request_id)
    return _told(f"LLM response: {getattr(answer.content, 'text', '')}")


async def _elicit(context: Context, message: str, schema: Answer, told: str) -> types.CallToolResult:
    if "elicitation" not in _declared(context):
        raise MCPError(INVALID_PARAMS, "the client does not elicit")
    answer = await context.session.elicit_form(message, schema, context.request_id)
    return _told(f"{told}: action={answer.action}, content={answer.content}")


def main() -> None:
    parser = argparse.ArgumentParser(description="The server behind the conformance run.")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port))
    print(f"port {listener.getsockname()[1]}", flush=True)
    app = Everything().server().streamable_http_app(event_store=Events(), retry_interval=RETRY_MS)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()

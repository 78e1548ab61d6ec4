"""Every method, in each pair of client era and backend era, answers as the backend does directly, but for the names."""

import asyncio
from typing import Any

import pytest
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from tests.flows.running import Http, Running, connected, eventually, run, said

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

ERAS = {"new": "modern", "old": "legacy"}  # backend -> its era
PAIRS = pytest.mark.parametrize(
    ("client", "backend"), [("modern", "new"), ("modern", "old"), ("legacy", "new"), ("legacy", "old")]
)
SURFACES = pytest.mark.parametrize("surface", ["default", "bare"])
OURS = ("_meta", "resultType", "ttlMs", "cacheScope", "nextCursor")  # each hop has its own


@pytest.fixture
def running(open_gateway: Running) -> Running:
    return open_gateway


class Names:
    """What a surface calls a backend's items."""

    def __init__(self, surface: str, backend: str) -> None:
        self.url_name = "default" if surface == "default" else f"bare-{backend}"
        self._backend = backend
        self._bare = surface == "bare"

    def item(self, name: str) -> str:
        return name if self._bare else f"{self._backend}__{name}"

    def uri(self, uri: str) -> str:
        return uri if self._bare else f"gw-{self._backend}+{uri}"

    def ours(self, name: str) -> bool:
        return self._bare or name.startswith((f"{self._backend}__", f"gw-{self._backend}+"))


class Direct(Names):
    """No surface at all: the backend's own names."""

    def __init__(self) -> None:
        super().__init__("bare", "")


def plain(value: Any) -> Any:
    """A result without what each hop says for itself."""
    told = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: member for name, member in told.items() if name not in OURS}


async def everything(client: Client, method: str, key: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(20):
        page = await getattr(client, method)(cursor=cursor)
        found += page.model_dump(mode="json", by_alias=True, exclude_none=True)[key]
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the list does not end")


async def lists(client: Client, names: Names) -> dict[str, Any]:
    """The four lists, in the order of their names, only this backend's part."""
    kinds = {
        "list_tools": ("tools", "name"),
        "list_prompts": ("prompts", "name"),
        "list_resources": ("resources", "uri"),
        "list_resource_templates": ("resourceTemplates", "uriTemplate"),
    }
    shown = {}
    for method, (key, named) in kinds.items():
        items = [each for each in await everything(client, method, key) if names.ours(each[named])]
        shown[key] = sorted(items, key=lambda item, named=named: item[named])  # type: ignore[misc]
    return shown


async def answers(client: Client, names: Names) -> dict[str, Any]:
    """One answer of each method about one item; errors as code and message."""
    page = ResourceTemplateReference(type="ref/resource", uri=names.uri("doc://pages/{number}"))
    return {
        "text": plain(await client.call_tool(names.item("echo"), {"text": "häß\u2028 \U0001f600"})),
        "structured": plain(await client.call_tool(names.item("forecast"), {"city": "Zürich"})),
        "big integer": plain(await client.call_tool(names.item("add"), {"a": 2**62, "b": 2**70})),
        "tool error": plain(await client.call_tool(names.item("fail"), {"message": "broken"})),
        "prompt": plain(await client.get_prompt(names.item("greet"), {"name": "Ada"})),
        "resource": plain(await client.read_resource(names.uri("doc://guide"))),
        "by template": plain(await client.read_resource(names.uri("doc://pages/7"))),
        "prompt argument": plain(
            await client.complete(PromptReference(type="ref/prompt", name=names.item("greet")), {"name": "name", "value": "b"})
        ),
        "template argument": plain(await client.complete(page, {"name": "number", "value": "1"})),
        "link": plain(await client.call_tool(names.item("link"), {})),
    }


def renamed(direct: Any, names: Names) -> Any:
    """What the backend says directly, in the names of the surface. Text is nobody's name."""
    if isinstance(direct, list):
        return [renamed(each, names) for each in direct]
    if not isinstance(direct, dict):
        return direct
    return {
        key: names.uri(member) if key in {"uri", "uriTemplate"} and isinstance(member, str) else renamed(member, names)
        for key, member in direct.items()
    }


@PAIRS
@SURFACES
def test_every_list_is_that_of_the_backend_under_public_names(
    running: Running, places: dict[str, str], client: str, backend: str, surface: str
) -> None:
    async def main() -> None:
        names = Names(surface, backend)
        async with connected(places[backend], {}, ERAS[backend]) as straight:
            direct = await lists(straight, Direct())
        async with connected(running.surface(names.url_name), running.headers("tester"), client) as through:
            shown = await lists(through, names)
        for key in ("tools", "prompts"):
            direct[key] = [{**each, "name": names.item(each["name"])} for each in direct[key]]
        assert shown == renamed(direct, names)
        assert len(shown["tools"]) >= 13

    run(main())


@PAIRS
@SURFACES
def test_every_answer_is_that_of_the_backend(
    running: Running, places: dict[str, str], client: str, backend: str, surface: str
) -> None:
    async def main() -> None:
        names = Names(surface, backend)
        async with connected(places[backend], {}, ERAS[backend]) as straight:
            direct = await answers(straight, Direct())
        async with connected(running.surface(names.url_name), running.headers("tester"), client) as through:
            assert await answers(through, names) == renamed(direct, names)

    run(main())


@PAIRS
def test_progress_and_log_messages_come_before_their_result(running: Running, client: str, backend: str) -> None:
    async def main() -> None:
        heard: list[Any] = []
        logged: list[tuple[str, Any]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            heard.append((progress, total, message))

        async def on_log(params: Any) -> None:
            logged.append((params.level, params.data))

        options = {"logging_callback": on_log} | ({"log_level": "info"} if client == "modern" else {})
        async with connected(running.url, running.headers("tester"), client, **options) as through:
            if client == "legacy":
                await through.set_logging_level("info")
            result = await through.call_tool(f"{backend}__slow", {"steps": 3}, progress_callback=on_progress)
            assert plain(result)["content"] == [{"type": "text", "text": "3 steps done"}]
            assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]
            await through.call_tool(f"{backend}__log", {"text": "mind the gap"})
            await eventually(lambda: len(logged) >= 2)
            assert logged == [("info", "mind the gap"), ("error", "mind the gap")]

    run(main())


@pytest.mark.parametrize("backend", ERAS)
def test_a_modern_listener_is_told_what_changed_and_nothing_else(running: Running, backend: str) -> None:
    async def main() -> None:
        uri = f"gw-{backend}+doc://guide"
        async with (
            connected(running.url, running.headers("tester"), "modern") as through,
            through.listen(tools_list_changed=True, prompts_list_changed=True, resource_subscriptions=[uri]) as changes,
        ):
            told = anext(changes)
            await through.call_tool(f"{backend}__change", {"kind": "updated", "uri": "doc://other"})
            await through.call_tool(f"{backend}__change", {"kind": "updated", "uri": "doc://guide"})
            assert await told == ResourceUpdated(uri)
            await through.call_tool(f"{backend}__change", {"kind": "prompts"})  # says so, but nothing changed
            await through.call_tool(f"{backend}__change", {"kind": "tools"})
            assert await anext(changes) == ToolsListChanged()

    run(main())


@pytest.mark.parametrize("backend", ERAS)
def test_a_legacy_session_is_told_on_its_stream_of_what_it_subscribed_to(running: Running, backend: str) -> None:
    def streams() -> int:
        return len([each for each in running.audit() if each.get("method") == "GET"])

    async def main() -> None:
        told: list[Any] = []
        before = streams()

        async def on_message(message: Any) -> None:
            told.append(getattr(message, "method", None))

        uri = f"gw-{backend}+doc://guide"
        async with connected(running.url, running.headers("tester"), "legacy", message_handler=on_message) as through:
            await through.subscribe_resource(uri)
            await eventually(lambda: streams() > before)
            await through.call_tool(f"{backend}__change", {"kind": "updated", "uri": "doc://guide"})
            await eventually(lambda: told == ["notifications/resources/updated"])
            await through.unsubscribe_resource(uri)
            await through.call_tool(f"{backend}__change", {"kind": "updated", "uri": "doc://guide"})
            await through.call_tool(f"{backend}__change", {"kind": "tools"})
            await eventually(lambda: len(told) > 1)
            assert told == ["notifications/resources/updated", "notifications/tools/list_changed"]

    run(main())


def test_ping_and_log_levels_are_legacy_only(running: Running) -> None:
    async def main() -> None:
        async with connected(running.url, running.headers("tester"), "legacy") as through:
            await through.send_ping()
            await through.set_logging_level("error")

    run(main())
    with Http(running, "tester") as http:
        for method, params in (("ping", {}), ("logging/setLevel", {"level": "info"}), ("resources/subscribe", {"uri": "a:b"})):
            answer = http.modern(method, params)
            assert (answer.status_code, said(answer)["error"]["code"]) == (404, -32601)


def test_a_session_that_was_deleted_is_gone(running: Running) -> None:
    with Http(running, "tester") as http:
        http.begin()
        assert said(http.legacy("ping"))["result"] == {}
        assert http.client.delete(http.url, headers=http.session).status_code == 200
        last = running.audit()[-1]
        assert (last["method"], last["outcome"], last["subject"]["id"]) == ("DELETE", "ok", "tester")
        answer = http.legacy("ping")
        assert (answer.status_code, said(answer)["error"]["code"]) == (404, -32600)


@PAIRS
def test_unknown_items_are_errors_of_the_client_era(running: Running, client: str, backend: str) -> None:
    async def main() -> None:
        async with connected(running.url, running.headers("tester"), client) as through:
            with pytest.raises(MCPError) as unknown:
                await through.call_tool(f"{backend}__nothing", {})
            assert (unknown.value.error.code, unknown.value.error.message) == (-32602, f"Unknown tool: {backend}__nothing")
            with pytest.raises(MCPError) as missing:
                await through.read_resource(f"gw-{backend}+doc://nowhere")
            assert missing.value.error.code == (-32602 if client == "modern" else -32002)
            assert missing.value.error.data == {"uri": f"gw-{backend}+doc://nowhere"}

    run(main())


@PAIRS
def test_a_request_of_the_server_ends_the_call_with_a_reason(running: Running, client: str, backend: str) -> None:
    async def main() -> None:
        async with connected(running.url, running.headers("tester"), client) as through:
            with pytest.raises(MCPError) as refused:
                await through.call_tool(f"{backend}__ask", {})
            assert refused.value.error.code == -32603
            assert "does not relay" in refused.value.error.message

    run(main())


def test_many_calls_at_once_keep_their_answers_apart(running: Running) -> None:
    async def main() -> None:
        async with (
            connected(running.url, running.headers("tester"), "modern") as modern,
            connected(running.url, running.headers("tester"), "legacy") as legacy,
        ):
            asked = [(client, backend, f"{number}") for client in (modern, legacy) for backend in ERAS for number in range(5)]
            calls = (client.call_tool(f"{backend}__echo", {"text": text}) for client, backend, text in asked)
            got = [plain(each)["content"][0]["text"] for each in await asyncio.gather(*calls)]
        assert got == [text for _, _, text in asked]

    run(main())

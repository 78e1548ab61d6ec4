"""What stays open is authorised again: blocks, taken-back keys, ended tokens and new rules reach open streams and calls."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.flows.issuer import Issuer
from tests.flows.running import (
    ACCEPT,
    META,
    MODERN,
    PATIENCE_S,
    ROOT,
    TESTERS,
    Http,
    Running,
    counts,
    eventually,
    gateway,
    granting,
    run,
    soon,
)

GUIDE = "gw-new+doc://guide"
PAGE = "gw-new+doc://pages/1"
EVERYTHING = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
LONG = {"name": "new__slow", "arguments": {"steps": 1, "pause_s": 30.0}}
ENDLESS_NS = 4_000_000_000_000_000_000
KEYS = ("ann", "bob", "cat", "dan", "eve", "fay", "hal", "ida", "jan", "kim", "unlucky")
RULES = ("servers/new/guide.rego", "servers/new/slow.rego", "org/failing.rego", "servers/second/failing.rego")

HIDING = """\
# METADATA
# title: the guide is nobody's any more
package mcp.servers.new.guide

hide contains position if {
	some position, resource in input.resources
	resource.uri == "doc://guide"
}
"""

FAILING = """\
# METADATA
# title: a rule that fails for one caller
package mcp.org.failing

hide contains position if {
	some position, resource in input.resources
	input.subject.id == "unlucky"
	to_number(resource.id) > 0
}
"""

FORBIDDING = """\
# METADATA
# title: What is slow
package mcp.servers.new.slow

import data.mcp.lib.finding

# METADATA
# title: nothing slow any more
# custom:
#   code: slow
deny contains finding.refusal(rego.metadata.rule()) if {
	input.resources[0].name == "slow"
	input.subject.id == "eve"
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def shared(places: dict[str, str], folder: Path) -> Iterator[Running]:
    """In front of the modern server. Each test has callers of its own; anybody else has a token of the issuer."""
    issuer = Issuer(folder)
    (folder / "keys").touch(mode=0o600)
    with gateway(
        folder,
        {"new": places["new"], "second": places["new"], "away": "http://127.0.0.1:9/mcp"},
        {name: {"groups": TESTERS} for name in KEYS},
        policies=granting(folder, "new", "second"),
        surfaces={"default": {"backends": ["new"]}, "mixed": {"backends": ["new", "second"]}, "bare": {"backends": ["away"]}},
        limits={"keep_alive_s": 0.5, "call_grace_s": 1},
        identity={"issuers": [{**issuer.setting, "leeway_s": 0}], "key_file": str(folder / "keys")},
    ) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def running(shared: Running, folder: Path) -> Iterator[Running]:
    """The same with the policies as shipped, also for the next test."""
    facts = folder / "policies/mcp/facts/data.yaml"
    shipped = facts.read_text()
    before = revisions(shared)
    yield shared
    facts.write_text(shipped)
    for name in (*RULES, "half"):
        (folder / "policies/mcp" / name).unlink(missing_ok=True)
    if revisions(shared) != before:
        soon(lambda: revisions(shared)[-1] == before[-1])


def revisions(running: Running) -> list[str]:
    return [line["after"] for line in running.audit() if line["type"] == "change" and line["subsystem"] == "policy"]


class Stream:
    """An open answer: the messages so far, and whether it ended in order."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.messages: list[dict[str, Any]] = []
        self.ended = asyncio.Event()
        self._response = response

    async def read(self) -> None:
        async for line in self._response.aiter_lines():
            if line.startswith("data:"):
                self.messages.append(json.loads(line[5:]))
            elif line.startswith("{"):
                self.messages.append(json.loads(line))
        self.ended.set()

    def methods(self) -> list[str]:
        return [message.get("method", "result" if "result" in message else "error") for message in self.messages]

    async def end(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.ended.wait()


@asynccontextmanager
async def opened(
    running: Running,
    headers: Mapping[str, str],
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    name: str = "",
    surface: str = "default",
) -> AsyncIterator[Stream]:
    """A modern request whose answer is read as it comes; with `method` GET the stream of the legacy session in `headers`."""
    async with httpx2.AsyncClient(headers={**ACCEPT, **headers}, timeout=3 * PATIENCE_S) as http, asyncio.TaskGroup() as reading:
        if method == "GET":
            asked = http.stream("GET", running.surface(surface))
        else:
            told = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, **({"Mcp-Name": name} if name else {})}
            params = {**(params or {}), "_meta": {**META, "progressToken": "p"}}
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            asked = http.stream("POST", running.surface(surface), json=body, headers=told)
        async with asked as response:
            stream = Stream(response)
            task = reading.create_task(stream.read())
            yield stream
            task.cancel()


def listening(running: Running, headers: Mapping[str, str], *uris: str, surface: str = "default") -> Any:
    wanted = {"notifications": {**EVERYTHING, "resourceSubscriptions": [*uris]}}
    return opened(running, headers, "subscriptions/listen", wanted, surface=surface)


def calling(running: Running, headers: Mapping[str, str]) -> Any:
    return opened(running, headers, "tools/call", LONG, name="new__slow")


def blocking(folder: Path, subject: str, issuer: str = "urn:mcp-gateway:keys", what: str = "") -> None:
    facts = folder / "policies/mcp/facts/data.yaml"
    what = what or f"what: subject, issuer: '{issuer}', subject: {subject}"
    block = f"{{{what}, until_ns: {ENDLESS_NS}, reason: test}}"
    facts.write_text(facts.read_text().replace("blocks: []", f"blocks: [{block}]"))


def ruling(folder: Path, name: str, text: str) -> None:
    """Whole or not at all, as every careful author of policies puts them."""
    half = folder / "half"
    half.write_text(text)
    half.rename(folder / "policies/mcp" / name)


def endings(running: Running, who: str) -> list[tuple[str, str, str]]:
    """Of each stream of `who` that ended or was narrowed: its method, what happened, and why."""
    return [
        (line["method"], line["event"], line["cause"])
        for line in running.audit()
        if line["type"] == "stream" and line["subject"]["id"] == who
    ]


def took_s(running: Running) -> float:
    """From the newest policy being in force to the last end of a stream."""
    lines = running.audit()
    changed = max(line["time_ns"] for line in lines if line["type"] == "change" and line["subsystem"] == "policy")
    return float(max(line["time_ns"] for line in lines if line["type"] == "stream") - changed) / 1e9


def test_a_block_ends_a_subjects_streams_and_calls_and_nobody_elses(
    running: Running, folder: Path, places: dict[str, str]
) -> None:
    async def main() -> None:
        ann, bob = running.headers("ann"), running.headers("bob")
        before = counts(places["new"])
        with Http(running, "ann") as http:
            http.begin()
            async with (
                listening(running, ann) as modern,
                opened(running, {**ann, **http.session}, "GET") as legacy,
                listening(running, bob) as other,
                calling(running, ann) as call,
            ):
                await eventually(lambda: call.methods() == ["notifications/progress"])
                await eventually(lambda: bool(modern.messages and other.messages))
                blocking(folder, "ann")
                await modern.end()
                await legacy.end()
                await call.end()
                assert (modern.methods()[-1], modern.messages[-1]["result"]["resultType"]) == ("result", "complete")
                assert call.messages[-1]["result"]["isError"] is True
                assert call.messages[-1]["result"]["content"][0]["text"] == (
                    "This is no longer allowed: the policy changed while it was under way. "
                    "It was ended; the action may have been carried out."
                )
                await eventually(lambda: counts(places["new"]).get("cancelled", 0) == before.get("cancelled", 0) + 1)
                await eventually(lambda: len(endings(running, "ann")) == 2)
                assert endings(running, "ann") == [("subscriptions/listen", "ended", "revoked"), ("GET", "ended", "revoked")] or (
                    endings(running, "ann") == [("GET", "ended", "revoked"), ("subscriptions/listen", "ended", "revoked")]
                )
                assert took_s(running) < 1.0
                outcome = [line for line in running.audit() if line["type"] == "outcome" and line["method"] == "tools/call"][-1]
                assert (outcome["outcome"], outcome["cause"]) == ("cancelled", "revoked")
                assert outcome["hidden_by"] == ["facts/blocks"]
                async with listening(running, ann) as again:
                    await again.end()
                    assert (again.status, again.messages[0]["error"]["code"]) == (403, 1403)
                assert not other.ended.is_set()
                assert endings(running, "bob") == []
        await eventually(lambda: endings(running, "bob") == [("subscriptions/listen", "ended", "client")])

    run(main())


def test_a_blocked_callers_stream_ends_and_none_is_opened_also_where_the_surface_shows_nothing(
    running: Running, folder: Path
) -> None:
    async def main() -> None:
        jan, hal = running.headers("jan"), running.headers("hal")
        async with listening(running, jan, surface="bare") as stream, listening(running, hal, surface="bare") as other:
            await eventually(lambda: bool(stream.messages and other.messages))
            blocking(folder, "jan")
            await stream.end()
            await eventually(lambda: endings(running, "jan") == [("subscriptions/listen", "ended", "revoked")])
            async with listening(running, jan, surface="bare") as again:
                await again.end()
                assert (again.status, again.messages[0]["error"]["code"]) == (403, 1403)
            async with listening(running, hal, surface="bare") as another:
                await eventually(lambda: bool(another.messages))
            assert not other.ended.is_set()

    run(main())


def test_a_block_of_a_backend_that_shows_nothing_ends_nobodys_stream(running: Running, folder: Path) -> None:
    async def main() -> None:
        headers, before = running.headers("ida"), len(revisions(running))
        async with listening(running, headers, surface="bare") as stream:
            await eventually(lambda: bool(stream.messages))
            blocking(folder, "", what="what: backend, backend: away")
            await eventually(lambda: len(revisions(running)) > before)
            async with listening(running, headers, surface="bare") as another:
                await eventually(lambda: bool(another.messages))
            assert not stream.ended.is_set()

    run(main())


def test_a_blocked_caller_is_known_as_blocked_though_one_backends_rule_fails_for_it(running: Running, folder: Path) -> None:
    async def main() -> None:
        kim, before = running.headers("kim"), len(revisions(running))
        ruling(folder, "servers/second/failing.rego", FAILING.replace("mcp.org", "mcp.servers.second").replace("unlucky", "kim"))
        await eventually(lambda: len(revisions(running)) > before)
        async with listening(running, kim, surface="mixed") as stream:
            await eventually(lambda: bool(stream.messages))
            blocking(folder, "kim")
            await stream.end()
            await eventually(lambda: endings(running, "kim") == [("subscriptions/listen", "ended", "revoked")])
            async with listening(running, kim, surface="mixed") as again:
                await again.end()
                assert (again.status, again.messages[0]["error"]["code"]) == (403, 1403)

    run(main())


def test_a_resource_that_a_new_rule_hides_is_dropped_from_the_stream_that_watched_it(
    running: Running, folder: Path, places: dict[str, str]
) -> None:
    def updates(stream: Stream) -> list[str]:
        return [each["params"]["uri"] for each in stream.messages if each.get("method") == "notifications/resources/updated"]

    async def main() -> None:
        cat = running.headers("cat")
        with Http(running, "cat") as http:
            async with listening(running, cat, GUIDE, PAGE) as stream:
                await eventually(lambda: bool(stream.messages))
                ruling(folder, "servers/new/guide.rego", HIDING)
                await eventually(lambda: bool(endings(running, "cat")))
                assert endings(running, "cat") == [("subscriptions/listen", "narrowed", "revoked")]
                assert [line["dropped"] for line in running.audit() if "dropped" in line] == [[GUIDE]]
                for uri in ("doc://guide", "doc://pages/1"):
                    http.modern("tools/call", {"name": "new__change", "arguments": {"kind": "updated", "uri": uri}})
                await eventually(lambda: bool(updates(stream)))
                assert updates(stream) == [PAGE]
                assert not stream.ended.is_set()

    run(main())


def test_a_stream_with_nothing_left_to_tell_ends(running: Running, folder: Path) -> None:
    async def main() -> None:
        wanted = {"notifications": {"resourceSubscriptions": [GUIDE]}}
        async with opened(running, running.headers("dan"), "subscriptions/listen", wanted) as stream:
            await eventually(lambda: bool(stream.messages))
            ruling(folder, "servers/new/guide.rego", HIDING)
            await stream.end()
            assert endings(running, "dan") == [("subscriptions/listen", "ended", "revoked")]

    run(main())


def test_a_call_that_a_new_rule_denies_is_ended_and_a_stream_goes_on(
    running: Running, folder: Path, places: dict[str, str]
) -> None:
    async def main() -> None:
        eve = running.headers("eve")
        async with listening(running, eve) as stream, calling(running, eve) as call:
            await eventually(lambda: call.methods() == ["notifications/progress"] and bool(stream.messages))
            ruling(folder, "servers/new/slow.rego", FORBIDDING)
            await call.end()
            assert "no longer allowed" in call.messages[-1]["result"]["content"][0]["text"]
            outcome = [line for line in running.audit() if line["type"] == "outcome"][-1]
            assert (outcome["outcome"], outcome["cause"], outcome["denials"][0]["code"]) == ("cancelled", "revoked", "slow")
            assert not stream.ended.is_set()

    run(main())


def test_what_the_policy_cannot_decide_any_more_ends(running: Running, folder: Path) -> None:
    async def main() -> None:
        unlucky = running.headers("unlucky")
        async with (
            listening(running, unlucky) as stream,
            calling(running, unlucky) as call,
            listening(running, running.headers("dan")) as other,
        ):
            await eventually(lambda: call.methods() == ["notifications/progress"] and bool(stream.messages and other.messages))
            ruling(folder, "org/failing.rego", FAILING)
            await stream.end()
            await call.end()
            await eventually(lambda: bool(endings(running, "unlucky")))
            assert endings(running, "unlucky") == [("subscriptions/listen", "ended", "undecided")]
            outcome = [line for line in running.audit() if line["type"] == "outcome"][-1]
            assert (outcome["outcome"], outcome["cause"]) == ("cancelled", "undecided")
            assert not other.ended.is_set()

    run(main())


def test_a_stream_ends_in_order_with_its_token_and_comes_back_with_a_new_one(running: Running, folder: Path) -> None:
    async def main() -> None:
        issuer = Issuer(folder)  # writes a new key, which the gateway reads within a second
        headers = {"Authorization": ""}

        async def fresh(life_s: int) -> None:
            headers["Authorization"] = "Bearer " + issuer.token("carol", groups=[*TESTERS], exp=issuer.now_s() + life_s)

        await fresh(60)
        with Http(running, None) as http:
            http.client.headers.update(headers)
            async with asyncio.timeout(PATIENCE_S):
                while http.modern("server/discover").status_code != 200:  # noqa: ASYNC110 — another process reads the key
                    await asyncio.sleep(0.05)
        await fresh(3)
        async with listening(running, headers) as stream, calling(running, headers) as call:
            await eventually(lambda: bool(stream.messages and call.messages))
            await stream.end()
            assert stream.methods()[-1] == "result"
            await eventually(lambda: bool(endings(running, "carol")))
            assert endings(running, "carol") == [("subscriptions/listen", "ended", "expired")]
            await call.end()
            assert call.messages[-1]["result"]["content"][0]["text"] == (
                "The credential that this was asked with has expired: authenticate again. "
                "It was ended; the action may have been carried out."
            )
            lines = [line for line in running.audit() if line.get("subject", {}).get("id") == "carol"]
            ended = next(line for line in lines if line["type"] == "stream")
            outcome = next(line for line in lines if line["type"] == "outcome")
            assert (outcome["outcome"], outcome["cause"]) == ("cancelled", "expired")
            assert outcome["time_ns"] - ended["time_ns"] > 5e8  # what began under a good token had `call_grace_s` more
            await fresh(60)
            async with listening(running, headers) as again:
                await eventually(lambda: bool(again.messages))
                assert again.status == 200
                assert not again.ended.is_set()

    run(main())


def test_a_revoked_key_ends_what_it_opened_within_a_second(running: Running, folder: Path) -> None:
    def keys(*arguments: str) -> str:
        command = [sys.executable, "-m", "gateway.cli", "keys", *arguments, "--file", str(folder / "keys")]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=3 * PATIENCE_S, cwd=ROOT).stdout

    def changes() -> list[int]:
        return [line["time_ns"] for line in running.audit() if line["type"] == "change" and line["subsystem"] == "keys"]

    async def main() -> None:
        before = len(changes())
        groups = [argument for group in TESTERS for argument in ("--group", group)]
        made = json.loads(await asyncio.to_thread(keys, "create", "gil", *groups, "--type", "user", "--json"))
        headers = {"Authorization": f"Bearer {made['token']}"}
        await eventually(lambda: len(changes()) > before)
        async with (
            listening(running, headers) as stream,
            calling(running, headers) as call,
            listening(running, running.headers("dan")) as other,
        ):
            await eventually(lambda: bool(stream.messages and call.messages and other.messages))
            await asyncio.to_thread(keys, "revoke", "gil")
            await stream.end()
            await call.end()
            await eventually(lambda: bool(endings(running, "gil")))
            assert endings(running, "gil") == [("subscriptions/listen", "ended", "credential_revoked")]
            lines = [line for line in running.audit() if line["type"] in {"stream", "outcome"} and line["subject"]["id"] == "gil"]
            assert [(line["cause"], line["time_ns"] - changes()[-1] < 1e9) for line in lines] == [
                ("credential_revoked", True)
            ] * 2
            assert not other.ended.is_set()

    run(main())


def test_the_end_of_every_stream_is_recorded_with_its_cause(running: Running) -> None:
    async def main() -> None:
        with Http(running, "fay") as http:
            http.begin()
            headers = {**running.headers("fay"), **http.session}
            async with opened(running, headers, "GET") as first:
                await eventually(lambda: first.status == 200)
                async with opened(running, headers, "GET") as second:
                    await first.end()
                    assert http.client.delete(http.url, headers=http.session).status_code == 200
                    await second.end()
            await eventually(lambda: len(endings(running, "fay")) == 2)
            assert endings(running, "fay") == [("GET", "ended", "replaced"), ("GET", "ended", "session")]

    run(main())

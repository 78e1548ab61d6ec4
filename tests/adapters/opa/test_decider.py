"""Policy sets in force on the real OPA: replaced whole by one that proved itself, or not at all."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.opa import decider as decider_module
from gateway.adapters.opa import policyset
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.policyset import Built, PolicySet
from gateway.adapters.opa.process import OpaProcess
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.status import PolicyEvent
from gateway.errors import Undecided

ALLOWED = b'{"input": {"resources": [{"backend": "crm"}]}}'
RULES = "mcp/authz/decision.rego"


def source(policies: Path) -> Source:
    return Source(policies, policies.with_name("schemas"))


Edit = Callable[[str, str, str], None]


def within(seconds: float, test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await test

    asyncio.run(bounded())


async def until(holds: Callable[[], bool], seconds: float = 5.0) -> float:
    """Poll until `holds`; the seconds it took."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # what is waited for is a fact of the outside, not an event in this process
            await asyncio.sleep(0.005)
    return time.monotonic() - began


@asynccontextmanager
async def deciding(
    opa: str, policies: Path, events: list[PolicyEvent] | None = None, deadline_s: float = 1.0
) -> AsyncIterator[PolicySetDecider]:
    told = events if events is not None else []
    decider = PolicySetDecider(source(policies), opa, Limits(deadline_s=deadline_s), told.append)
    await decider.start()
    try:
        yield decider
    finally:
        await decider.close()


async def cause_of(decider: PolicySetDecider) -> str:
    try:
        await decider.decide(ALLOWED)
    except Undecided as error:
        return error.cause
    return "decided"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_decision_carries_the_revision_of_the_set_in_force(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with deciding(opa, policies) as decider:
            verdict = await decider.decide(ALLOWED)
            assert isinstance(verdict.result, dict)
            assert (verdict.result["allowed"], verdict.revision) == ([0], decider.revision)
            assert decider.status().ready

    within(10, main())


def test_nothing_is_left_running_or_lying_about_after_close(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with deciding(opa, policies) as decider:
            pid = decider.pid
            assert pid is not None
            root = Path(decider._root.name) if decider._root else None
        assert not alive(pid)
        assert root is not None
        assert not root.exists()

    within(10, main())


def modes(root: Path) -> list[str]:
    (socket,) = root.glob("*/s")
    return [oct(path.stat().st_mode & 0o777) for path in (root, socket.parent, socket)]


def test_the_socket_is_0600_in_a_folder_that_is_0700(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with deciding(opa, policies) as decider:
            assert decider._root is not None
            assert modes(Path(decider._root.name)) == ["0o700", "0o700", "0o600"]

    within(10, main())


def test_an_edit_is_enforced_within_a_second(opa: str, policies: Path, edit: Edit) -> None:
    async def main() -> None:
        events: list[PolicyEvent] = []
        async with deciding(opa, policies, events) as decider:
            first = decider.revision
            edit(RULES, "generation 0", "generation 1")
            took_s = await until(lambda: decider.revision != first)
            assert took_s < 1.0
            assert (await decider.decide(ALLOWED)).revision == decider.revision
            assert [(event.kind, event.previous, event.revision) for event in events] == [
                ("enforced", None, first),
                ("enforced", first, decider.revision),
            ]

    within(10, main())


BROKEN = {
    "syntax error": (RULES, "_visible := [", "_visible := [[", "rego_parse_error"),
    "unknown function": (RULES, "_visible := [position |", "_visible := [position | frobnicate(1);", "rego_type_error"),
    "unsafe variable": (RULES, "_visible := [position |", "_visible := [unknown |", "rego_unsafe_var_error"),
    "a misspelt field": (RULES, "resource.backend", "resource.bakcend", "(there are: backend)"),
    "a rule out of its place": (RULES, "package mcp.authz", "package mcp.auth", ""),
    "a template string": (RULES, '"allowed": _visible', '"allowed": $"{_visible}"', "template strings"),
    "a misspelt key in the facts": ("mcp/facts/data.yaml", "version: 1", "version: 1\nblock: []", "blocks"),
    "a key that is said twice": ("mcp/facts/data.yaml", "version: 1", "version: 1\nversion: 1", "version"),
    "unused variable, strict": (RULES, "decision := {", "_f(x) := 1\n\ndecision := {", "rego_compile_error"),
    "a canary answered wrong": (RULES, '== "crm"', '!= "crm"', "canary 'known allow': visible is [], expected [0]"),
    "everything allowed": (
        RULES,
        '; resource.backend == "crm"',
        "; resource",
        "canary 'known deny': visible is [0], expected []",
    ),
    "undefined": (RULES, "version == 1", "version == 2", "canary 'known allow': undecided, undefined"),
    "no canary denied": ("mcp/canaries/data.json", '"other"', '"crm"', "expected []"),
    "data that is not JSON": ("mcp/canaries/data.json", "[\n", "[[\n", ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_edit_leaves_the_last_good_set_in_force_and_says_why(opa: str, policies: Path, edit: Edit, case: str) -> None:
    async def main() -> None:
        name, old, new, message = BROKEN[case]
        events: list[PolicyEvent] = []
        async with deciding(opa, policies, events) as decider:
            first, pid = decider.revision, decider.pid
            good = (policies / name).read_text()
            edit(name, old, new)
            await until(lambda: decider.status().rejection is not None)
            rejection = decider.status().rejection
            assert rejection is not None
            assert any(message in found.message for found in rejection.findings), rejection.findings
            assert all(found.file for found in rejection.findings), rejection.findings
            assert (decider.revision, decider.pid) == (first, pid)
            assert (await decider.decide(ALLOWED)).revision == first
            assert decider.status().ready
            (policies / name).write_text(good)
            await until(lambda: decider.status().rejection is None)
            assert decider.revision == first
            assert [event.kind for event in events] == ["enforced", "rejected"]

    within(15, main())


def test_a_finding_names_file_and_line(opa: str, policies: Path, edit: Edit) -> None:
    async def main() -> None:
        async with deciding(opa, policies) as decider:
            edit(RULES, "data.mcp.facts.version == 1", "tata == 1")
            with pytest.raises(PolicyRejected) as refused:
                await decider.load()
            assert refused.value.findings == (Finding(RULES, 17, "rego_unsafe_var_error: var tata is unsafe"),)

    within(10, main())


def test_a_bad_policy_at_the_start_leaves_everything_undecided_until_it_is_right(opa: str, policies: Path, edit: Edit) -> None:
    async def main() -> None:
        edit(RULES, '"crm"]', '"crm"')
        async with deciding(opa, policies) as decider:
            assert decider.revision is None
            assert not decider.status().ready
            assert await cause_of(decider) == "no_policy"
            edit(RULES, '"crm"', '"crm"]')
            await until(lambda: decider.revision is not None)
            assert await cause_of(decider) == "decided"

    within(10, main())


def test_a_folder_that_is_missing_is_loaded_when_it_appears(opa: str, policies: Path) -> None:
    hidden = policies.rename(policies.with_name("elsewhere"))

    async def main() -> None:
        async with deciding(opa, policies) as decider:
            assert await cause_of(decider) == "no_policy"
            os.rename(hidden, policies)
            await until(lambda: decider.revision is not None)

    within(10, main())


def test_a_misnamed_data_file_is_refused_because_opa_would_leave_it_out(opa: str, policies: Path) -> None:
    async def main() -> None:
        (policies / "mcp" / "facts" / "blocks.yaml").write_text("blocks: []\n")
        decider = PolicySetDecider(source(policies), opa, Limits(), lambda _: None)
        with pytest.raises(PolicyRejected) as refused:
            await decider.load()
        await decider.close()
        assert [found.file for found in refused.value.findings] == ["mcp/facts/blocks.yaml"]

    within(10, main())


def test_a_half_written_edit_is_never_in_force(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with deciding(opa, policies) as decider:
            path = policies / RULES
            text = path.read_text()
            first = decider.revision
            with path.open("w") as file:
                for line in text.replace("generation 0", "generation 1").splitlines(keepends=True):
                    file.write(line)
                    file.flush()
                    await asyncio.sleep(0.03)
                    assert (await decider.decide(ALLOWED)).revision == first
            await until(lambda: decider.revision != first)
            assert (await decider.decide(ALLOWED)).revision == decider.revision

    within(10, main())


def test_a_stream_of_decisions_through_five_reloads_is_decided_throughout(opa: str, policies: Path, edit: Edit) -> None:
    async def main() -> None:
        async with deciding(opa, policies) as decider:
            ended = asyncio.Event()
            seen: set[str] = set()

            async def ask() -> None:
                while not ended.is_set():
                    before = decider.revision
                    verdict = await decider.decide(ALLOWED)
                    assert verdict.revision in {before, decider.revision}
                    seen.add(verdict.revision)

            asking = [asyncio.ensure_future(ask()) for _ in range(8)]
            wanted = {decider.revision}
            for number in range(5):
                edit(RULES, f"generation {number}", f"generation {number + 1}")
                wanted.add(await decider.load())
                await asyncio.sleep(0.02)
            ended.set()
            await asyncio.gather(*asking)
            assert len(wanted) == 6
            assert seen == wanted

    within(20, main())


def test_a_replaced_set_ends_after_its_last_decision(opa: str, policies: Path, edit: Edit) -> None:
    async def main() -> None:
        async with deciding(opa, policies) as decider:
            old = decider.pid
            assert old is not None
            edit(RULES, "generation 0", "generation 1")
            await decider.load()
            assert decider.pid != old
            await until(lambda: not alive(old))

    within(10, main())


def test_a_killed_opa_is_restarted_by_itself_and_nothing_is_decided_meanwhile(opa: str, policies: Path) -> None:
    async def main() -> None:
        events: list[PolicyEvent] = []
        async with deciding(opa, policies, events) as decider:
            first = decider.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda: not decider.status().ready)
            assert await cause_of(decider) == "unreachable"
            await until(lambda: decider.status().ready)
            assert decider.pid != first
            assert await cause_of(decider) == "decided"
            assert decider.status().restarts == 1
            assert [event.kind for event in events] == ["enforced", "restarted"]

    within(10, main())


def test_a_restart_that_meets_an_unforeseen_error_is_tried_again(
    opa: str, policies: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decider_module, "BEAT_S", 60.0)
    asked = 0

    async def broken(built: Built, process: OpaProcess) -> tuple[Finding, ...]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ZeroDivisionError
        return ()

    async def main() -> None:
        async with deciding(opa, policies) as decider:
            assert decider.pid is not None
            monkeypatch.setattr(policyset, "_wrong", broken)
            os.kill(decider.pid, signal.SIGKILL)
            await until(lambda: asked == 2 and decider.status().ready, 10)
            assert (await cause_of(decider), decider.status().restarts) == ("decided", 2)

    within(15, main())
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["restarting OPA crashed"]


def test_an_opa_that_hangs_for_good_is_killed_and_replaced(opa: str, policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider_module, "BEAT_S", 0.02)
    monkeypatch.setattr(decider_module, "HUNG_BEATS", 2)

    async def main() -> None:
        async with deciding(opa, policies, deadline_s=0.1) as decider:
            pid = decider.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await until(lambda: decider.pid != pid and decider.status().ready)
            assert await cause_of(decider) == "decided"
            assert not alive(pid)

    within(10, main())


def test_a_beat_that_meets_an_unforeseen_error_makes_unready_and_is_begun_again(
    opa: str, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider_module, "BEAT_S", 0.02)
    asked = 0

    async def broken(current: PolicySet) -> tuple[Finding, ...]:
        nonlocal asked
        asked += 1
        raise ZeroDivisionError

    async def main() -> None:
        async with deciding(opa, policies) as decider:
            before = decider.status()
            monkeypatch.setattr(PolicySet, "misjudged", broken)
            await until(lambda: asked == 2)
            problem = "asking the canaries met an internal error (ZeroDivisionError), see the log"
            assert (before.ready, decider.status()) == (True, replace(before, problem=problem, canaries="unknown"))
            assert await cause_of(decider) == "decided"

    within(10, main())


def test_a_stopped_opa_is_late_and_heals_when_it_goes_on(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with deciding(opa, policies, deadline_s=0.2) as decider:
            pid = decider.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            while (cause := await cause_of(decider)) == "decided":
                pass  # its threads stop one after the other
            assert cause == "late"
            await until(lambda: not decider.status().ready)
            os.kill(pid, signal.SIGCONT)
            await until(lambda: decider.status().ready)
            assert await cause_of(decider) == "decided"
            assert decider.pid == pid

    within(10, main())

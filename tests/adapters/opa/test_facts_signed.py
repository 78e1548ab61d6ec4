"""Facts in a bundle of their own: signed, in time, nothing but facts, and nothing older but by the command."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import EXPIRED, PolicySetDecider
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.history import History
from gateway.adapters.opa.snapshot import Source, take
from gateway.adapters.opa.status import PolicyEvent
from gateway.lifecycle import rollback
from gateway.lifecycle.rollback import Outcome
from gateway.model import JsonObject
from gateway.policy import bundle
from gateway.policy.bundle_signature import signature
from tests.adapters.opa.test_bundles import KEY, TRUST, contents, write
from tests.adapters.opa.test_decider import RULES, Edit, until, within

FACTS = "mcp/facts/data.yaml"


def facts(text: str, target: Path, *, age_s: float = 0.0, signed: bool = True, more: Mapping[str, bytes] | None = None) -> Path:
    """A bundle of facts, put in its place at once."""
    files = {FACTS: text.encode(), ".manifest": b'{"revision":"f","roots":["mcp/facts"]}', **(more or {})}
    if signed:
        claims: JsonObject = {"files": [], "keyid": "k1", "iat": time.time() - age_s, "contents": bundle.digest(files)}
        files[".signatures.json"] = signature(KEY, claims)
    half = target.with_name("half")
    half.write_bytes(bundle.pack(files))
    os.replace(half, target)
    return target


@pytest.fixture
def apart(policies: Path) -> Source:
    """The small set as two signed bundles: rules, and facts that say `version: 1`."""
    shutil.rmtree(policies / "mcp/facts")
    rules = write(contents(policies), policies.with_name("b.tar.gz"), age_s=500.0)
    return Source(
        rules,
        policies.with_name("schemas"),
        trust=replace(TRUST, max_age_s=1000.0, facts_max_age_s=100.0),
        facts=facts("version: 1\n", policies.with_name("f.tar.gz"), age_s=50.0),
    )


def reason(source: Source, into: Path) -> Finding:
    with pytest.raises(PolicyRejected) as raised:
        take(source, into)
    return raised.value.findings[0]


def test_only_signed_facts_in_time_and_nothing_but_facts_are_taken(apart: Source, tmp_path: Path) -> None:
    place = apart.facts
    assert place is not None
    taken = take(apart, tmp_path / "good")
    assert taken.facts is not None
    assert (taken.texts[FACTS], taken.facts.revision.partition(".")[0]) == (b"version: 1\n", "f")
    reasons = []
    bad: tuple[Callable[[], Path], ...] = (
        lambda: facts("version: 1\n", place, signed=False),
        lambda: facts("version: 1\n", place, age_s=150.0),
        lambda: facts("version: 1\n", place, more={"mcp/servers/crm/all.rego": b"package mcp.servers.crm.all\n"}),
        lambda: facts("version: 1\n", place, more={"mcp/facts/more.rego": b"package mcp.facts.more\n"}),
        lambda: write({RULES: b"package mcp.authz.decision\n"}, place),
    )
    for number, make in enumerate(bad):
        make()
        found = reason(apart, tmp_path / str(number))
        said = re.sub(r"15\d s ago", "150 s ago", found.message)  # by the clock of a busy machine
        reasons.append(f"{found.file.removeprefix(f'{tmp_path}/')}: {said}")
    foreign = "policy.facts is a bundle of facts, and this is none: build it with `policy build --only-facts`"
    assert reasons == [
        "f.tar.gz: the bundle is not signed, and policy.require_signed is set",
        "f.tar.gz: the bundle was signed 150 s ago, and decides for 100 s at most",
        f"mcp/servers/crm/all.rego: {foreign}",
        "mcp/facts/more.rego: OPA would leave this file out: data files are named data.json or data.yaml",
        f"mcp/authz/decision.rego: {foreign}",
    ]
    place.unlink()
    place.mkdir()
    (place / "data.yaml").write_text("version: 1\n")
    unsigned = "is a folder, which nobody can sign, and policy.require_signed is set: load a bundle"
    assert reason(apart, tmp_path / "folder") == Finding(str(place), 0, unsigned)


def test_newer_facts_are_in_force_within_a_second_and_older_ones_only_by_the_command(
    apart: Source, policies: Path, opa: str
) -> None:
    place, history, events = apart.facts, History(policies.with_name("history"), keep=5), list[PolicyEvent]()
    assert place is not None
    old = place.read_bytes()

    async def main() -> None:
        decider = PolicySetDecider(apart, opa, Limits(), events.append, history=history)
        await decider.start()
        try:
            first = decider.revision
            assert (events[-1].signed_by, events[-1].facts_signed_by) == ("k1", "k1")
            facts("version: 1\nblocks: []\n", place, age_s=20.0)
            assert await until(lambda: decider.revision != first, 15.0) < 3
            second = decider.revision
            place.write_bytes(old)
            await until(lambda: events[-1].kind == "rejected", 15.0)
            assert re.fullmatch(
                r"the bundle of facts was signed 3\d s before one that was accepted already: "
                "go back on purpose with `mcp-gateway policy rollback`, or sign it anew",
                events[-1].findings[0].message,
            )
            assert decider.revision == second
            of_facts = history.of_facts()
            earlier = rollback.meant(of_facts.index(), None)
            assert await asyncio.to_thread(rollback.pinned, of_facts, earlier, 15.0) == Outcome(earlier, in_force=True)
            status = decider.status()
            assert (decider.revision, status.facts_pinned, status.pinned) == (first, earlier, None)
            assert [one.revision for one in history.index().kept] == [history.index().in_force]  # the rules did not move
        finally:
            await decider.close()

    within(60, main())


def test_set_decides_no_more_once_its_facts_are_too_old(apart: Source, opa: str) -> None:
    place = apart.facts
    assert place is not None

    async def main() -> None:
        facts("version: 1\n", place, age_s=97.0)
        decider = PolicySetDecider(apart, opa, Limits(), lambda _: None)
        await decider.start()
        try:
            first = decider.revision
            await until(lambda: decider.revision is None, 20.0)
            assert decider.status().problem == EXPIRED
            facts("version: 1\n", place)
            await until(lambda: decider.revision == first, 15.0)
        finally:
            await decider.close()

    within(40, main())


def test_newer_facts_roll_out_while_the_newest_rules_are_refused(apart: Source, policies: Path, opa: str, edit: Edit) -> None:
    place, history, events = apart.facts, History(policies.with_name("history"), keep=5), list[PolicyEvent]()
    assert place is not None

    async def main() -> None:
        decider = PolicySetDecider(apart, opa, Limits(), events.append, history=history)
        await decider.start()
        try:
            first = decider.revision
            edit(RULES, "# generation 0", "# generation 1")
            write(contents(policies), apart.folder, extra=b"# slipped in\n")
            await until(lambda: events[-1].kind == "rejected", 15.0)
            assert (decider.revision, decider.status().fallback) == (first, ())
            facts("version: 1\nblocks: [1]\n", place)
            await until(lambda: decider.revision != first, 15.0)
            status = decider.status()
            assert (events[-1].kind, events[-1].fallback, status.fallback) == ("enforced", ("rules",), ("rules",))
            assert status.rejection is not None
            write(contents(policies), apart.folder)
            await until(lambda: decider.status().rejection is None, 15.0)
            assert decider.status().fallback == ()
        finally:
            await decider.close()

    within(60, main())

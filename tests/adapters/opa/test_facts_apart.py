"""Facts in a folder of their own: rolled out without the rules, in force within a second, and not gone back with them."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.history import History
from gateway.adapters.opa.snapshot import Source, take
from gateway.adapters.opa.status import PolicyEvent
from gateway.lifecycle import rollback
from gateway.lifecycle.rollback import Outcome
from tests.adapters.opa.test_decider import ALLOWED, RULES, Edit, until, within


@pytest.fixture
def apart(policies: Path) -> Source:
    """The small set, with its facts moved into a folder of their own."""
    facts = policies.with_name("facts")
    shutil.move(policies / "mcp/facts", facts)
    return Source(policies, policies.with_name("schemas"), facts=facts)


def test_edited_facts_are_in_force_within_a_second_or_refused_and_rules_go_back_without_them(
    apart: Source, opa: str, edit: Edit
) -> None:
    assert apart.facts is not None
    data, history, events = apart.facts / "data.yaml", History(apart.facts.with_name("history"), keep=5), list[PolicyEvent]()

    async def main() -> None:
        decider = PolicySetDecider(apart, opa, Limits(), events.append, history=history)
        await decider.start()
        try:
            first = decider.revision
            assert (await decider.decide(ALLOWED)).revision == first
            data.write_text("version: 1\nblocks: []\n")
            await until(lambda: decider.revision != first, 15.0)
            second = decider.revision
            data.write_text("version: 1\nblocks: []\nwaiver: []\n")
            await until(lambda: events[-1].kind == "rejected", 15.0)
            (refused,) = events[-1].findings
            assert (decider.revision, refused.file, refused.line) == (second, "mcp/facts/data.yaml", 3)
            data.write_text("version: 1\nblocks: [1]\n")
            await until(lambda: decider.revision != second, 15.0)
            third = decider.revision
            (rules,) = (one.revision for one in history.index().kept)

            edit(RULES, "# generation 0", "# generation 1")
            await until(lambda: decider.revision != third, 15.0)
            outcome = await asyncio.to_thread(rollback.pinned, history, rollback.meant(history.index(), None), 10.0)
            assert outcome == Outcome(rules, in_force=True)
            assert (decider.revision, decider.status().pinned) == (third, rules)
            data.write_text("version: 1\nblocks: [2]\n")
            await until(lambda: decider.revision != third, 15.0)
            assert decider.status().pinned == rules
        finally:
            await decider.close()

    within(60, main())


def test_set_with_facts_of_its_own_and_facts_that_opa_would_not_read_are_refused(apart: Source, tmp_path: Path) -> None:
    assert apart.facts is not None
    (apart.facts / "more.json").write_text("{}")
    with pytest.raises(PolicyRejected) as raised:
        take(apart, tmp_path / "1")
    unread = Finding("mcp/facts/more.json", 0, "OPA would leave this file out: data files are named data.json or data.yaml")
    assert raised.value.findings == (unread,)
    shutil.copytree(apart.facts, apart.folder / "mcp/facts", ignore=shutil.ignore_patterns("more.json"))
    with pytest.raises(PolicyRejected) as raised:
        take(apart, tmp_path / "2")
    twice = "the set brings facts of its own, and others are named apart: build it with `policy build --without-facts`"
    assert raised.value.findings == (Finding("mcp/facts/data.yaml", 0, twice),)


def test_same_files_have_the_same_revision_wherever_the_facts_lie(apart: Source, tmp_path: Path) -> None:
    one = take(apart, tmp_path / "1")
    assert apart.facts is not None
    shutil.copytree(apart.facts, apart.folder / "mcp/facts")
    other = take(Source(apart.folder, apart.schemas), tmp_path / "2")
    assert (one.revision, one.texts) == (other.revision, other.texts)
    assert (one.rules.revision == one.revision, other.rules.revision == other.revision) == (False, True)

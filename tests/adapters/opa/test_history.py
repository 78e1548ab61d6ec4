"""Accepted sets are kept and can be gone back to; nothing older comes into force by any other way, also after a restart."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.history import History, Pin
from gateway.adapters.opa.snapshot import Part, Source, take
from gateway.adapters.opa.status import PolicyEvent
from gateway.lifecycle import rollback
from gateway.lifecycle.rollback import CannotGoBack, Outcome
from gateway.policy import bundle
from gateway.policy.bundle_signature import Signed, Trust
from tests.adapters.opa.test_bundles import CRASHING, TRUST, contents, read_or_crash, source, write
from tests.adapters.opa.test_decider import ALLOWED, RULES, Edit, until, within
from tests.policy.test_tarball import crafted

CANARIES = "mcp/canaries/data.json"


@asynccontextmanager
async def running(
    wanted: Source, opa: str, history: History, events: list[PolicyEvent] | None = None
) -> AsyncIterator[PolicySetDecider]:
    told = events if events is not None else []
    decider = PolicySetDecider(wanted, opa, Limits(), told.append, history=history)
    await decider.start()
    try:
        yield decider
    finally:
        await decider.close()


async def back(history: History, revision: str | None = None) -> Outcome:
    return await asyncio.to_thread(rollback.pinned, history, rollback.meant(history.index(), revision), 10.0)


def revisions(history: History) -> list[str]:
    return [one.revision for one in history.index().kept]


def test_set_before_comes_back_stays_and_is_let_go_again(policies: Path, opa: str, edit: Edit) -> None:
    history = History(policies.with_name("history"), keep=3)
    folder = Source(policies, policies.with_name("schemas"))

    async def main() -> None:
        async with running(folder, opa, history) as decider:
            first = decider.revision
            edit(RULES, "# generation 0", "# generation 1")
            await until(lambda: decider.revision != first, 15.0)
            second = decider.revision
            assert await back(history) == Outcome(first, in_force=True)
            assert (decider.revision, decider.status().pinned) == (first, first)
            edit(RULES, "# generation 1", "# generation 2")
            await asyncio.sleep(0)
            assert await back(history, second) == Outcome(second, in_force=True)  # after the edit was seen: it waits
            assert decider.revision == second
        async with running(folder, opa, history) as again:
            assert (again.revision, again.status().pinned) == (second, second)
            let_go = await asyncio.to_thread(rollback.released, history, 10.0)
            assert again.revision not in {first, second}
            assert (let_go, again.status().pinned) == (Outcome(again.revision, in_force=True), None)
            assert revisions(history) == [first, second, again.revision]

    within(40, main())


def test_older_bundle_is_refused_unless_it_is_gone_back_to_also_after_a_restart(policies: Path, opa: str, edit: Edit) -> None:
    history, wanted = History(policies.with_name("history"), keep=3), source(policies)

    async def main() -> None:
        write(contents(policies), wanted.folder, age_s=100.0)
        old = wanted.folder.read_bytes()
        async with running(wanted, opa, history) as decider:
            first = decider.revision
            edit(RULES, "# generation 0", "# generation 1")
            write(contents(policies), wanted.folder, age_s=40.0)
            await until(lambda: decider.revision != first, 15.0)
            second = decider.revision
        wanted.folder.write_bytes(old)
        async with running(wanted, opa, history) as decider:
            rejection = decider.status().rejection
            assert rejection is not None
            assert rejection.findings[0].message.endswith(
                " s before one that was accepted already: go back on purpose with `mcp-gateway policy rollback`, or sign it anew"
            )
            assert (decider.revision, decider.status().fallback) == (second, ("rules",))
            assert await back(history, first) == Outcome(first, in_force=True)
            assert await back(history, second) == Outcome(second, in_force=True)

    within(40, main())


def test_of_two_sets_signed_in_one_second_the_one_accepted_first_does_not_come_back(tmp_path: Path) -> None:
    history, signed = History(tmp_path / "history", keep=3), Signed("k1", 1_800_000_000, None)
    first, second, third = (Part(name, signed, {}, name.encode()) for name in ("v1.1", "v2.2", "v3.3"))
    for now_s, part in enumerate((first, second)):
        history.refuse_older(part, "the bundle")
        history.accept(part, float(now_s), known=False)
    history.accept(first, 2.0, known=True)  # gone back to on purpose
    history.refuse_older(second, "the bundle")
    history.refuse_older(third, "the bundle")
    with pytest.raises(PolicyRejected) as raised:
        history.refuse_older(first, "the bundle")
    assert [each.message for each in raised.value.findings] == [
        "the bundle was signed in the same second as one that was accepted after it: "
        "go back on purpose with `mcp-gateway policy rollback`, or sign it anew"
    ]


def test_two_gateways_on_one_folder_lose_nothing_that_either_accepted(tmp_path: Path) -> None:
    rounds = 12
    begin = Barrier(2)

    def gateway(number: int) -> None:
        own = History(tmp_path, keep=2 * rounds)
        for turn in range(rounds):
            begin.wait(10.0)
            own.accept(Part(f"r{number}-{turn}", None, {}, b"bundle"), float(turn), known=False)

    with ThreadPoolExecutor(2) as both:
        for each in [both.submit(gateway, number) for number in range(2)]:
            each.result(60.0)
    assert sorted(revisions(History(tmp_path, keep=1))) == sorted(
        f"r{number}-{turn}" for number in range(2) for turn in range(rounds)
    )


def test_set_that_another_gateway_overtook_while_it_was_checked_does_not_come_into_force(tmp_path: Path) -> None:
    one, other = History(tmp_path, keep=3), History(tmp_path, keep=3)
    older, newer = (Part(f"r{signed_s}", Signed("k", signed_s, None), {}, b"bundle") for signed_s in (100.0, 200.0))
    one.refuse_older(older, "the bundle")
    other.accept(newer, 1.0, known=False)
    with pytest.raises(PolicyRejected) as caught:
        one.accept(older, 2.0, known=False)
    assert [each.message for each in caught.value.findings] == [
        "the bundle was signed 100 s before one that was accepted already: "
        "go back on purpose with `mcp-gateway policy rollback`, or sign it anew"
    ]
    assert (revisions(one), one.index().in_force) == (["r200.0"], "r200.0")


def test_last_good_set_decides_after_a_restart_while_the_newest_is_refused(policies: Path, opa: str, edit: Edit) -> None:
    history, wanted, events = History(policies.with_name("history"), keep=3), source(policies), list[PolicyEvent]()

    async def main() -> None:
        write(contents(policies), wanted.folder, age_s=100.0)
        async with running(wanted, opa, history) as decider:
            first = decider.revision
        good = contents(policies)[CANARIES]
        edit(RULES, "# generation 0", "# generation 1")
        edit(CANARIES, '"backend": "crm"', '"backend": "cms"')
        write(contents(policies), wanted.folder)  # signed, and its canaries do not hold
        async with running(wanted, opa, history, events) as decider:
            assert [(each.kind, each.revision, each.fallback) for each in events] == [
                ("rejected", None, ()),
                ("enforced", first, ("rules",)),
            ]
            status = decider.status()
            assert (status.ready, status.fallback, status.rejection is not None) == (True, ("rules",), True)
            assert (await decider.decide(ALLOWED)).revision == first
            write({**contents(policies), CANARIES: good}, wanted.folder, extra=b"# slipped in\n")
            await until(lambda: len(events) == 3, 15.0)
            assert (decider.revision, decider.status().fallback) == (first, ("rules",))
            write({**contents(policies), CANARIES: good}, wanted.folder)
            await until(lambda: decider.revision != first, 15.0)
            assert (decider.status().fallback, decider.status().rejection) == ((), None)

    within(40, main())


@pytest.mark.parametrize("name", ["crashing", *crafted()])
def test_bytes_that_crash_a_reader_are_refused_at_an_edit_and_at_the_start_and_the_last_good_set_decides(
    policies: Path, opa: str, edit: Edit, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(bundle, "read", read_or_crash(bundle.read))
    history, wanted, events = History(policies.with_name("history"), keep=3), source(policies), list[PolicyEvent]()
    bad = CRASHING if name == "crashing" else gzip.compress(crafted()[name])
    write(contents(policies), wanted.folder, age_s=100.0)

    async def main() -> None:
        async with running(wanted, opa, history) as decider:
            first = decider.revision
            wanted.folder.write_bytes(bad)
            await until(lambda: decider.status().rejection is not None, 10.0)
            assert (decider.revision, decider.status().ready) == (first, True)
        async with running(wanted, opa, history, events) as decider:
            assert [(each.kind, each.revision, each.fallback) for each in events] == [
                ("rejected", None, ()),
                ("enforced", first, ("rules",)),
            ]
            if name == "crashing":
                told = "reading it met an internal error (OverflowError), see the log"
                assert events[0].findings == (Finding("", 0, told),)
            edit(RULES, "# generation 0", "# generation 1")
            write(contents(policies), wanted.folder)
            await until(lambda: decider.revision != first, 15.0)
            assert (decider.status().fallback, decider.status().rejection) == ((), None)

    within(40, main())


def test_nothing_too_old_revoked_or_gone_back_from_is_fallen_back_to(policies: Path, opa: str, edit: Edit) -> None:
    history, wanted = History(policies.with_name("history"), keep=3), source(policies)
    assert wanted.trust is not None

    async def main() -> None:
        write(contents(policies), wanted.folder, age_s=100.0)
        async with running(wanted, opa, history) as decider:
            first = decider.revision
            edit(RULES, "# generation 0", "# generation 1")
            write(contents(policies), wanted.folder, age_s=10.0)
            await until(lambda: decider.revision != first, 15.0)
            second = decider.revision
            assert await back(history, first) == Outcome(first, in_force=True)
        wanted.folder.write_bytes(b"no bundle")
        async with running(wanted, opa, history) as decider:
            assert (decider.revision, decider.status().fallback) == (first, ())
        history.kept_bundle(first or "").write_bytes(b"no bundle")
        async with running(wanted, opa, history) as decider:  # not the second one: somebody went back from it
            assert decider.revision is None
            history.set_pin(None)
            history.accept(kept_part(history, second or ""), time.time(), known=True)
        history.set_pin(Pin(first or "", 0.0))  # while the gateway was down
        async with running(wanted, opa, history) as decider:
            assert decider.revision is None
        history.set_pin(None)
        assert wanted.trust is not None
        for trust in (replace(wanted.trust, max_age_s=5.0), Trust((replace(TRUST.keys[0], revoked=True),))):
            async with running(replace(wanted, trust=trust), opa, history) as decider:
                assert (decider.revision, decider.status().ready) == (None, False)
        async with running(wanted, opa, history) as decider:
            assert (decider.revision, decider.status().fallback) == (second, ("rules",))

    within(60, main())


def kept_part(history: History, revision: str) -> Part:
    """What the history keeps under this revision."""
    packed = history.kept_bundle(revision).read_bytes()
    return Part(revision, None, bundle.read(packed).files, packed)


def test_kept_set_is_verified_again_and_a_refused_pin_is_taken_back(policies: Path, opa: str, edit: Edit) -> None:
    history, wanted = History(policies.with_name("history"), keep=3), source(policies)

    async def main() -> None:
        write(contents(policies), wanted.folder, age_s=100.0)
        async with running(wanted, opa, history) as decider:
            first = decider.revision
            edit(RULES, "# generation 0", "# generation 1")
            write(contents(policies), wanted.folder)
            await until(lambda: decider.revision != first, 15.0)
            second = decider.revision
            kept = history.kept_bundle(first or "")
            write(contents(policies), kept, extra=b"# slipped in\n")
            reason = "the bundle is not what was signed: a file was changed, added or left out since"
            for _ in range(2):  # the same refusal twice is told twice
                assert await back(history, first) == Outcome(first, in_force=False, why=(reason,))
            assert (decider.revision, history.pin()) == (second, None)
        aged = replace(wanted, trust=replace(wanted.trust, max_age_s=50.0)) if wanted.trust else wanted
        write(contents(policies), kept, age_s=100.0)
        async with running(aged, opa, history) as decider:
            outcome = await back(history, first)
            assert (outcome.in_force, outcome.why[0].startswith("the bundle was signed 10")) == (False, True)
            assert decider.revision == second

    within(40, main())


def test_so_many_sets_are_kept_and_never_less_than_the_one_in_force(policies: Path, tmp_path: Path, edit: Edit) -> None:
    history = History(tmp_path / "history", keep=2)
    made = []
    for number in range(3):
        copy = take(Source(policies, policies.with_name("schemas")), tmp_path / f"copy{number}")
        history.accept(copy.rules, float(number + 1), known=False)
        made.append(copy)
        edit(RULES, f"# generation {number}", f"# generation {number + 1}")
    assert revisions(history) == [made[1].revision, made[2].revision]
    assert sorted(path.suffix for path in (tmp_path / "history").iterdir()) == [".gz", ".gz", ".json"]
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o700
    kept = history.kept_bundle(made[1].revision)
    again = take(Source(kept, policies.with_name("schemas")), tmp_path / "again")
    assert (again.texts, again.revision, again.digest) == (made[1].texts, made[1].revision, made[1].digest)


def test_pin_or_index_that_cannot_be_read_refuses_and_is_never_as_if_there_were_none(tmp_path: Path) -> None:
    history = History(tmp_path, keep=2)
    assert (history.pin(), history.index().kept) == (None, ())
    for name, look in (("pin.json", history.pin), ("index.json", history.index)):
        for text in ("", "{", '{"revision": 1}', '{"other": 1}'):
            (tmp_path / name).write_text(text)
            with pytest.raises(PolicyRejected, match="is not what the gateway wrote"):
                look()
        (tmp_path / name).unlink()
    with pytest.raises(PolicyRejected, match="policy rollback: revision x is not kept; there are none"):
        history.kept_bundle("x")


def test_revision_to_go_back_to_is_the_only_one_that_begins_so(policies: Path, tmp_path: Path) -> None:
    history = History(tmp_path / "history", keep=9)
    copy = take(Source(policies, policies.with_name("schemas")), tmp_path / "copy")
    with pytest.raises(CannotGoBack, match=r"^no policy set was accepted before the one in force; none is kept yet$"):
        rollback.meant(history.index(), None)
    for number, name in enumerate(("v1.aa", "v1.ab", "v2.aa")):
        history.accept(replace(copy.rules, revision=name), float(number + 1), known=False)
    index = history.index()
    assert [rollback.meant(index, each) for each in (None, "v2", "v1.aa")] == ["v1.ab", "v2.aa", "v1.aa"]
    with pytest.raises(CannotGoBack, match=r"^2 kept revisions begin with 'v1'; kept are v1\.aa, v1\.ab, v2\.aa$"):
        rollback.meant(index, "v1")
    with pytest.raises(CannotGoBack, match=r"^no kept revisions begin with 'x'"):
        rollback.meant(index, "x")


def test_pin_that_no_gateway_answers_stays(policies: Path, tmp_path: Path) -> None:
    history = History(tmp_path / "history", keep=9)
    copy = take(Source(policies, policies.with_name("schemas")), tmp_path / "copy")
    history.accept(copy.rules, 1.0, known=False)
    assert rollback.pinned(history, copy.revision, 0.0) == Outcome(copy.revision, in_force=False)
    pin = history.pin()
    assert pin is not None
    assert pin.revision == copy.revision
    assert rollback.released(history, 0.0) == Outcome(None, in_force=False)
    assert history.pin() is None

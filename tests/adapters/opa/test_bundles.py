"""A bundle as the policy set in force: only what was signed, by a key that counts, in time, or the old one stays."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import EXPIRED, PolicySetDecider
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.snapshot import Source, take
from gateway.adapters.opa.status import PolicyEvent
from gateway.errors import Undecided
from gateway.model import JsonObject
from gateway.policy import bundle
from gateway.policy.bundle_signature import Key, Trust, public_key, signature
from tests.adapters.opa.test_decider import ALLOWED, RULES, Edit, until, within

KEY = ec.generate_private_key(ec.SECP256R1())
TRUST = Trust((Key("k1", *public_key(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))),))


def contents(policies: Path) -> dict[str, bytes]:
    return {str(path.relative_to(policies)): path.read_bytes() for path in policies.rglob("*") if path.is_file()}


def write(files: Mapping[str, bytes], target: Path, *, keyid: str | None = "k1", age_s: float = 0.0, extra: bytes = b"") -> Path:
    """A bundle of these files, put in its place at once; `extra`: added to a rule after signing."""
    whole = {**files, ".manifest": b'{"revision":"v1"}'}
    if keyid is not None:
        claims: JsonObject = {"files": [], "keyid": keyid, "iat": time.time() - age_s, "contents": bundle.digest(whole)}
        whole[".signatures.json"] = signature(KEY, claims)
    whole[RULES] += extra
    half = target.with_name("half")
    half.write_bytes(bundle.pack(whole))
    os.replace(half, target)
    return target


CRASHING = b"a bundle that no reader foresaw"


def read_or_crash(read: Callable[[bytes], bundle.Bundle]) -> Callable[[bytes], bundle.Bundle]:
    """A reader with a fault of its own, for one bundle."""

    def reading(packed: bytes) -> bundle.Bundle:
        if packed == CRASHING:
            raise OverflowError("Python int too large to convert to C ssize_t")
        return read(packed)

    return reading


def source(policies: Path, *, max_age_s: float | None = None, trust: Trust | None = TRUST) -> Source:
    """Of the bundle beside `policies`."""
    trusted = replace(trust, max_age_s=max_age_s) if trust is not None else None
    return Source(policies.with_name("b.tar.gz"), policies.with_name("schemas"), trust=trusted)


def reason(source: Source, into: Path) -> str:
    with pytest.raises(PolicyRejected) as raised:
        take(source, into)
    (found,) = raised.value.findings
    assert found.file == str(source.folder)
    return found.message


def test_signed_bundle_decides_and_its_revision_is_its_label_and_the_hash_of_its_files(policies: Path, opa: str) -> None:
    async def main() -> None:
        write(contents(policies), source(policies).folder)
        folder = take(Source(policies, policies.with_name("schemas")), policies.with_name("copy"))
        decider = PolicySetDecider(source(policies), opa, Limits(), lambda _: None)
        try:
            assert await decider.load() == f"v1.{folder.revision}"
            assert (await decider.decide(ALLOWED)).revision == f"v1.{folder.revision}"
        finally:
            await decider.close()

    within(20, main())


def test_nothing_unsigned_changed_or_signed_by_another_is_loaded(policies: Path, tmp_path: Path) -> None:
    files, wanted = contents(policies), source(policies)
    reasons = []
    for number, more in enumerate(
        ({"keyid": None}, {"keyid": "k2"}, {"extra": b"# more\n"}, {"age_s": 100.0}, {"age_s": -100.0})
    ):
        write(files, wanted.folder, **more)  # type: ignore[arg-type]
        said = reason(source(policies, max_age_s=50), tmp_path / f"copy{number}")
        reasons.append(re.sub(r"10\d s ago", "100 s ago", said))  # by the clock of a busy machine
    assert reasons == [
        "the bundle is not signed, and policy.require_signed is set",
        "the bundle is signed with a key that policy.require_signed does not know",
        "the bundle is not what was signed: a file was changed, added or left out since",
        "the bundle was signed 100 s ago, and decides for 50 s at most",
        "the bundle was signed in the future: one of two clocks is wrong",
    ]
    write(files, wanted.folder)
    revoked = Trust((replace(TRUST.keys[0], revoked=True),))
    assert (
        reason(source(policies, trust=revoked), tmp_path / "revoked")
        == "the bundle is signed with the key 'k1', which is revoked"
    )
    assert not (tmp_path / "revoked").exists()  # nothing of it was even written


def test_folder_does_not_decide_where_signatures_are_required(policies: Path, tmp_path: Path) -> None:
    wanted = "is a folder, which nobody can sign, and policy.require_signed is set: load a bundle"
    assert reason(Source(policies, policies.with_name("schemas"), trust=TRUST), tmp_path / "copy") == wanted


def test_unsigned_bundle_decides_where_no_signature_is_required_and_stray_files_in_it_are_refused(
    policies: Path, tmp_path: Path
) -> None:
    wanted = source(policies, trust=None)
    write(contents(policies), wanted.folder, keyid=None)
    assert take(wanted, tmp_path / "1").texts == contents(policies)
    write({**contents(policies), "mcp/facts/more.json": b"{}"}, wanted.folder, keyid=None)
    with pytest.raises(PolicyRejected) as raised:
        take(wanted, tmp_path / "2")
    assert raised.value.findings == (
        Finding("mcp/facts/more.json", 0, "OPA would leave this file out: data files are named data.json or data.yaml"),
    )


def test_changed_bundle_leaves_the_old_set_in_force_and_says_why_and_the_next_good_one_replaces_it(
    policies: Path, opa: str, edit: Edit
) -> None:
    events: list[PolicyEvent] = []

    async def main() -> None:
        write(contents(policies), source(policies).folder)
        decider = PolicySetDecider(source(policies), opa, Limits(), events.append)
        await decider.start()
        try:
            first = decider.revision
            edit(RULES, "# generation 0", "# generation 1")
            write(contents(policies), source(policies).folder, extra=b"# slipped in\n")
            await until(lambda: len(events) == 2, 15.0)
            assert decider.revision == first
            assert events[1].kind == "rejected"
            assert events[1].findings[0].message == (
                "the bundle is not what was signed: a file was changed, added or left out since"
            )
            write(contents(policies), source(policies).folder)
            took_s = await until(lambda: len(events) == 3, 15.0)
            assert (events[2].kind, events[2].previous, events[2].signed_by, took_s < 2) == ("enforced", first, "k1", True)
        finally:
            await decider.close()

    within(20, main())


def test_set_in_force_decides_no_more_once_its_signature_is_too_old_and_again_when_signed_anew(policies: Path, opa: str) -> None:
    async def main() -> None:
        write(contents(policies), source(policies).folder, age_s=8.0)
        decider = PolicySetDecider(source(policies, max_age_s=10.0), opa, Limits(), lambda _: None)
        await decider.start()
        try:
            assert (await decider.decide(ALLOWED)).result
            await until(lambda: decider.revision is None, 15.0)
            with pytest.raises(Undecided) as raised:
                await decider.decide(ALLOWED)
            assert (raised.value.cause, raised.value.detail, decider.status().problem) == ("no_policy", EXPIRED, EXPIRED)
            write(contents(policies), source(policies).folder)
            await until(lambda: decider.revision is not None, 15.0)
            assert (await decider.decide(ALLOWED)).result
            shutil.rmtree(policies)  # the bundle alone decides
        finally:
            await decider.close()

    within(20, main())


def test_same_files_signed_anew_are_no_change_of_policy_but_count_from_then_on(policies: Path, opa: str) -> None:
    events: list[PolicyEvent] = []

    async def main() -> None:
        write(contents(policies), source(policies).folder, age_s=100.0)
        decider = PolicySetDecider(source(policies, max_age_s=200.0), opa, Limits(), events.append)
        await decider.start()
        try:
            first, pid, before = decider.revision, decider.pid, decider.status()
            write(contents(policies), source(policies).folder)
            await until(lambda: len(events) == 2, 15.0)
            assert (events[1].kind, events[1].revision, events[1].previous, events[1].signed_by) == (
                "renewed",
                first,
                first,
                "k1",
            )
            now = decider.status()
            assert before.signed_s is not None and now.signed_s is not None and now.expires_s is not None
            assert (now.signed_s - before.signed_s > 99, round(now.expires_s - now.signed_s)) == (True, 200)
            assert (decider.pid, now.since_s) == (pid, before.since_s)  # it was not even started anew
            shutil.copy(source(policies).folder, policies.with_name("same"))
            os.replace(policies.with_name("same"), source(policies).folder)
            await decider.load()
            assert len(events) == 2
        finally:
            await decider.close()

    within(30, main())


def test_gateway_that_starts_with_a_bundle_that_is_too_old_decides_nothing(policies: Path, opa: str) -> None:
    async def main() -> None:
        write(contents(policies), source(policies).folder, age_s=100.0)
        decider = PolicySetDecider(source(policies, max_age_s=10.0), opa, Limits(), lambda _: None)
        await decider.start()
        try:
            with pytest.raises(Undecided):
                await decider.decide(ALLOWED)
            rejection = decider.status().rejection
            assert rejection is not None
            assert rejection.findings[0].message.startswith("the bundle was signed 10")
        finally:
            await decider.close()

    asyncio.run(main())

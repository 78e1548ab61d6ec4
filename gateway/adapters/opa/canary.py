"""Questions with known answers. A policy set that answers one of them wrong never decides anything else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from gateway.adapters.opa.findings import Finding
from gateway.errors import Undecided
from gateway.ports import Verdict

FILE = "mcp/canaries/data.json"  # in the folder of the policies


class _Expected(msgspec.Struct, forbid_unknown_fields=True):
    visible: list[int]
    allowed: list[int]


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    input: dict[str, msgspec.Raw]
    expect: _Expected


class _Given(msgspec.Struct):
    """The part of an answer that a canary is about; the rest is judged when real questions are asked."""

    version: int
    visible: list[int]
    allowed: list[int]


_canaries = msgspec.json.Decoder(list[_Written])

Ask: TypeAlias = Callable[[bytes], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Canary:
    name: str
    document: bytes
    visible: tuple[int, ...]
    allowed: tuple[int, ...]


def read(text: bytes, file: str) -> tuple[Canary, ...] | Finding:
    """The canaries in a JSON file: at least one that is allowed and one that is not, or neither failure would show."""
    try:
        written = _canaries.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Finding(file, 1, f"is not a list of canaries {{name, input, expect: {{visible, allowed}}}}: {error}")
    canaries = tuple(
        Canary(one.name, msgspec.json.encode({"input": one.input}), tuple(one.expect.visible), tuple(one.expect.allowed))
        for one in written
    )
    if not any(canary.allowed for canary in canaries):
        return Finding(file, 1, "no canary expects to be allowed: add one, or a set that denies everything would pass")
    if all(canary.allowed for canary in canaries):
        return Finding(file, 1, "no canary expects to be denied: add one, or a set that allows everything would pass")
    return canaries


async def wrong(ask: Ask, canaries: tuple[Canary, ...], *, file: str, revision: str, version: int = 1) -> tuple[Finding, ...]:
    """What is wrong with the answers; nothing: all are right. `version`: of the contract, as the set says it.

    Raises `Undecided` where that says nothing of the policies: OPA does not answer, or another revision than `revision` does.
    """
    findings = []
    for canary in canaries:
        try:
            verdict = await ask(canary.document)
        except Undecided as error:
            if error.cause in {"unreachable", "late"}:
                raise
            findings.append(Finding(file, 0, f"canary {canary.name!r}: undecided, {error}"))
            continue
        if verdict.revision != revision:
            raise Undecided("revision", f"canary {canary.name!r} was answered by {verdict.revision!r}, not {revision!r}")
        if (said := _difference(canary, verdict, version)) is not None:
            findings.append(Finding(file, 0, f"canary {canary.name!r}: {said}"))
    return tuple(findings)


def _difference(canary: Canary, verdict: Verdict, version: int) -> str | None:
    try:
        given = msgspec.convert(verdict.result, _Given)
    except msgspec.ValidationError as error:
        return f"the answer is not one of contract version {version}: {error}"
    if given.version != version:
        return f"the answer is of contract version {given.version}, not {version}"
    if tuple(sorted(given.visible)) != tuple(sorted(canary.visible)):
        return f"visible is {sorted(given.visible)}, expected {sorted(canary.visible)}"
    if tuple(sorted(given.allowed)) != tuple(sorted(canary.allowed)):
        return f"allowed is {sorted(given.allowed)}, expected {sorted(canary.allowed)}"
    return None

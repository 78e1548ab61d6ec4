"""Exceptions in the facts that are right in form and do not do what their author believes: told, and no failure.

A kill switch is set in an emergency, so it is taken as it is, also before its item is known; but one whose name is misspelt, or
ends with a blank, stops nothing. A waiver or an approval that ends only in years outlives whoever remembers why.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from gateway.lifecycle.known import Items, instead
from gateway.policy.facts import Key, Places, placed, standing
from gateway.policy.structure import Finding

LONG_NS = 2 * 365 * 24 * 3600 * 10**9  # of an exception, in front of now; reviews are at least yearly
NAMING = ("name", "agent", "issuer", "subject")
APPROVED = ("settings", "destructive_needs_approval", "approved")


def doubtful(facts: Mapping[str, str], known: Items, now_ns: int) -> tuple[Finding, ...]:
    """`facts`: their files. Broken ones, of which others tell, are not judged."""
    try:
        merged, places = placed(facts)
    except (ValueError, yaml.YAMLError):
        return ()
    return (*_blocks(merged, places, known), *_long(merged, places, now_ns))


def _blocks(merged: Any, places: Places, known: Items) -> Iterator[Finding]:
    for path, block in _entries(merged, ("blocks",)):
        for member in NAMING:
            said = block.get(member)
            if isinstance(said, str) and said != said.strip():
                yield _told(places, (*path, member), f"is {said!r}, with a blank at an end: it blocks nothing that has none")
        backend, type, name = (block.get(each) for each in ("backend", "type", "name"))
        if block.get("what") not in {"item", "backend"} or not isinstance(backend, str) or not known.by_backend:
            continue
        if backend not in known.by_backend:
            there = instead(backend, known.by_backend)
            yield _told(places, (*path, "backend"), f'is "{backend}", of which facts and schemas know nothing; {there}')
        elif isinstance(type, str) and isinstance(name, str) and name not in (wanted := known.of(backend, type)):
            there = instead(name, wanted) if wanted else "there is none at all"
            yield _told(places, (*path, "name"), f'is "{name}", no {type} of {backend} that facts or schemas know; {there}')


def _long(merged: Any, places: Places, now_ns: int) -> Iterator[Finding]:
    for at in (("waivers",), APPROVED):
        for path, exception in _entries(merged, at):
            until_ns = exception.get("until_ns")
            if type(until_ns) is int and now_ns + LONG_NS < until_ns < 10**19:
                when = datetime.fromtimestamp(until_ns // 10**9, UTC).strftime("%Y-%m-%d")
                yield _told(
                    places, (*path, "until_ns"), f"is {when}, more than two years from now: let it end at its next review"
                )


def _entries(merged: Any, at: tuple[str, ...]) -> Iterator[tuple[tuple[Key, ...], dict[str, Any]]]:
    """The objects in the list at `at`; other shapes are the schema's to refuse."""
    value = merged
    for name in at:
        value = value.get(name) if isinstance(value, dict) else None
    for position, each in enumerate(value if isinstance(value, list) else ()):
        if isinstance(each, dict):
            yield (*at, position), each


def _told(places: Places, path: tuple[Key, ...], said: str) -> Finding:
    file, line = standing(places, path)
    return Finding(file, line, f"{'.'.join(str(key) for key in path)} {said}")

"""`input.extracted`: for each kind that is declared a list, with one entry for each text, where it stood and what it is.

An entry that says `unreadable` has `why` and nothing else, so that a rule which asks for a property does not find it.
"""

import re
from collections.abc import Iterator
from typing import assert_never

from gateway.model import Json, JsonObject
from gateway.policy.extract.addresses import recipients
from gateway.policy.extract.declared import ANY, Declared, Kind
from gateway.policy.extract.paths import path
from gateway.policy.extract.sql import sql
from gateway.policy.extract.unreadable import Unreadable
from gateway.policy.extract.urls import path_of, url

MAX_TEXTS = 256  # of one declaration
MAX_CHARS = 65_536  # of all of them
MAX_QUICK_CHARS = 2_048  # all texts of a question together; above it the event loop should not wait
INDEX = re.compile(r"0|[1-9][0-9]*")  # of a list; any other token is a name
LISTS: dict[Kind, str] = {"path": "paths", "sql": "sql", "url": "urls", "address": "addresses"}

Placed = tuple[str, Json]


def extracted(declared: tuple[Declared, ...], arguments: JsonObject) -> JsonObject:
    """What `declared` finds in the arguments; a list for every kind that is declared, even if it stays empty."""
    said: dict[str, list[Json]] = {LISTS[one.kind]: [] for one in declared}
    for one in declared:
        said[LISTS[one.kind]].extend(_entries(one, arguments))
    return {**said}


def is_slow(declared: tuple[Declared, ...], arguments: JsonObject) -> bool:
    """Whether reading takes longer than a millisecond or two: then it belongs off the event loop."""
    return (
        any(one.kind == "sql" for one in declared)
        or sum(len(value) for one in declared for _, value in _texts(one, arguments) if isinstance(value, str)) > MAX_QUICK_CHARS
    )


def _entries(one: Declared, arguments: JsonObject) -> Iterator[JsonObject]:
    chars = 0
    for count, (at, value) in enumerate(_texts(one, arguments)):
        chars += len(value) if isinstance(value, str) else 0
        if count >= MAX_TEXTS or chars > MAX_CHARS:
            yield _unreadable(one, at, f"there are more than {MAX_TEXTS} texts, or more than {MAX_CHARS} characters")
            return
        if not isinstance(value, str):
            yield _unreadable(one, at, "it is not text")
            continue
        try:
            for said in list(_read(one, value)):
                yield {"argument": one.argument, "at": at, **said}
        except Unreadable as error:
            yield _unreadable(one, at, str(error))


def _unreadable(one: Declared, at: str, why: str) -> JsonObject:
    return {"argument": one.argument, "at": at, "unreadable": True, "why": why}


def _read(one: Declared, text: str) -> Iterator[JsonObject]:
    match one.kind:
        case "path":
            yield path(path_of(text) if one.of_uri else text, one.roots, one.base)
        case "sql":
            yield sql(text, one.dialect)
        case "url":
            yield url(text)
        case "address":
            yield from recipients(text)
        case _:
            assert_never(one.kind)


def _texts(one: Declared, arguments: JsonObject) -> Iterator[Placed]:
    """The values at the declared place, each with its pointer; a list's are its members. Null is not there."""
    for at, value in _at(one.tokens, arguments, ""):
        if isinstance(value, list):
            yield from ((f"{at}/{index}", entry) for index, entry in enumerate(value))
        elif value is not None:
            yield at, value


def _at(tokens: tuple[str, ...], value: Json, at: str) -> Iterator[Placed]:
    if not tokens:
        yield at, value
        return
    token, rest = tokens[0], tokens[1:]
    if isinstance(value, dict):
        if at and token not in value and INDEX.fullmatch(token):
            yield at, {}  # an object where a list should be: some servers take it for the only member
            return
        names = list(value) if token == ANY else [token] if token in value else []
        for name in names:
            yield from _at(rest, value[name], f"{at}/{_escaped(name)}")
    elif isinstance(value, list) and (token == ANY or INDEX.fullmatch(token)):
        for index, entry in enumerate(value):
            if token in {ANY, str(index)}:
                yield from _at(rest, entry, f"{at}/{index}")
    elif value is not None:
        yield at, {}  # something else stands where the way goes on: not text, whatever it is


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")

"""Facts are reviewed data that rules trust: a misspelt key must not become an eternal waiver, nor a fact that nobody reads.

Checked as OPA will see them, all files merged under `data.mcp.facts`; every finding names the file, the line and the right key.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from gateway.model import ItemType, Json, JsonObject
from gateway.policy.extract import DECLARING, problems
from gateway.policy.structure import LOADER, Finding, check_yaml

ROOT = "mcp/facts/"
MAIN = "mcp/facts/data.yaml"
MAX_VERSION_DIGITS = 9
EARLIEST_NS = 10**18  # September 2001: a smaller time was given in seconds, milliseconds or microseconds
UNTIL = "until_ns"
LATEST_NS = 4_102_444_800 * 10**9  # January 2100: an exception that ends later was never meant to end, or has a digit too many

Key = str | int
Places = dict[tuple[Key, ...], tuple[str, int]]


def facts(texts: Mapping[str, str], schema: JsonObject, *, rules: Collection[str] = ()) -> tuple[Finding, ...]:
    """What is wrong with the facts in `texts`, path -> YAML or JSON.

    `rules`: those of the policy set, such as "org/credentials"; without them names of rules are not checked.
    """
    broken = [found for file, text in texts.items() for found in check_yaml(file, text)]
    if broken:
        return tuple(sorted(broken, key=_order))
    merged: JsonObject = {}
    places: Places = {}
    found: list[Finding] = []
    for file in sorted(texts, key=lambda name: (name.count("/"), name)):
        found.extend(_merge(merged, places, file, texts[file]))
    if not texts:
        return (Finding(MAIN, 1, "is missing: without facts of version 1 there is no decision"),)
    for error in Draft202012Validator(schema, registry=Registry()).iter_errors(merged):
        found.extend(_misfits(error, places))
    found.extend(_times(merged, places))
    found.extend(_modes(merged, places))
    found.extend(_waivers(merged, places))
    found.extend(_unknown_rules(merged, places, rules))
    found.extend(_extracts(merged, places))
    return tuple(sorted(dict.fromkeys(found), key=_order))


def version(texts: Mapping[str, str]) -> int | None:
    """What facts that nobody checked yet say of their version; None: nothing that could be one.

    Reads no further than to it: the set's own checks read the rest, and then know how.
    """
    for folder, name in (file.rsplit("/", 1) for file in sorted(texts)):
        if f"{folder}/" == ROOT and name.startswith("data."):
            said = _top_level(texts[ROOT + name], "version")
            if said is not None:
                return int(said) if said.isascii() and said.isdigit() and len(said) <= MAX_VERSION_DIGITS else None
    return None


def _top_level(text: str, key: str) -> str | None:
    """The plain scalar under a key of the whole document; None: there is none, or it cannot be read that far."""
    depth, keys = 0, True  # `keys`: the next scalar of the outermost mapping is a key
    found = False
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if found:
                return event.value if isinstance(event, yaml.ScalarEvent) and not event.style else None
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth == 1 and isinstance(event, yaml.ScalarEvent | yaml.AliasEvent | yaml.CollectionEndEvent):
                found = keys and isinstance(event, yaml.ScalarEvent) and event.value == key
                keys = not keys
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return None


def whole(texts: Mapping[str, str]) -> JsonObject:
    """Facts that were checked, as OPA sees them under `data.mcp.facts`. Raises `ValueError` where they were not."""
    return placed(texts)[0]


def placed(texts: Mapping[str, str]) -> tuple[JsonObject, Places]:
    """The same, and where each value stands: for `standing`."""
    merged: JsonObject = {}
    places: Places = {}
    for file in sorted(texts, key=lambda name: (name.count("/"), name)):
        for _ in _merge(merged, places, file, texts[file]):
            raise ValueError(f"{file} was not checked")
    return merged, places


def _order(found: Finding) -> tuple[str, int, str]:
    return found.file, found.line, found.message


def _merge(merged: JsonObject, places: Places, file: str, text: str) -> Iterator[Finding]:
    """Lay one file where its folder says, as OPA does; two files that say the same thing are a conflict there too."""
    root = yaml.compose(text, Loader=LOADER)
    try:
        value = yaml.load(text, Loader=LOADER)  # noqa: S506 — a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield Finding(file, 1, f"is no YAML: {str(error).splitlines()[0]}")
        return
    folder = file.removeprefix(ROOT).split("/")[:-1]
    if not isinstance(value, dict):
        yield Finding(file, 1, "is not an object")
        return
    _place(root, tuple(folder), file, places)
    target = merged
    for name in folder:
        below = target.setdefault(name, {})
        if not isinstance(below, dict):
            yield Finding(file, 1, f"lies under {name!r}, which another file says is no object")
            return
        target = below
    for path in _joined(target, value, tuple(folder)):
        yield Finding(file, standing(places, path)[1], f"says {path[-1]!r}, which another file says too")


def _joined(target: JsonObject, said: JsonObject, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Put `said` into `target` as OPA does: objects join, whatever else is said twice is a conflict (its path)."""
    waiting = [(target, said, at)]
    while waiting:
        into, more, path = waiting.pop()
        for name, value in more.items():
            known = into.get(name)
            if name not in into:
                into[name] = value
            elif isinstance(known, dict) and isinstance(value, dict):
                waiting.append((known, value, (*path, name)))
            else:
                yield (*path, name)


def _place(node: yaml.Node | None, path: tuple[Key, ...], file: str, places: Places) -> None:
    """Remember where each value stands."""
    waiting: list[tuple[yaml.Node | None, tuple[Key, ...]]] = [(node, path)]
    seen: set[int] = set()
    while waiting:
        part, at = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        places.setdefault(at, (file, part.start_mark.line + 1))
        if isinstance(part, yaml.MappingNode):
            for key, value in part.value:
                places[(*at, str(key.value))] = (file, key.start_mark.line + 1)
                waiting.append((value, (*at, str(key.value))))
        elif isinstance(part, yaml.SequenceNode):
            waiting.extend((value, (*at, index)) for index, value in enumerate(part.value))


def standing(places: Places, path: Iterable[Key]) -> tuple[str, int]:
    """Where the value at `path` stands, or what it is in."""
    at = tuple(path)
    while at and at not in places:
        at = at[:-1]
    return places.get(at, (MAIN, 1))


def _misfits(error: ValidationError, places: Places) -> Iterator[Finding]:
    path = tuple(error.absolute_path)
    instance: Any = error.instance
    schema = error.schema if isinstance(error.schema, dict) else {}
    wanted: Any = error.validator_value
    known = [str(name) for name in schema.get("properties", {})]
    if error.validator == "additionalProperties" and isinstance(instance, dict) and wanted is False:
        for name in instance:
            if name not in known and not any(re.search(pattern, name) for pattern in schema.get("patternProperties", {})):
                file, line = standing(places, (*path, name))
                yield Finding(file, line, f"{_said((*path, name))} is not known{_meant(name, known)}")
        return
    file, line = standing(places, path)
    if error.validator == "propertyNames":
        yield Finding(file, line, f"{_said(path)}: {error.instance!r} is no name that may stand here")
    elif error.validator == "required":
        missing = [name for name in wanted if name not in instance]
        for name in missing:
            given = [str(each) for each in instance]
            yield Finding(file, line, f"{_said(path)} lacks {name!r}{_instead(name, given, known)}")
    elif error.validator == "type":
        kind = type(error.instance).__name__
        names = {"str": "text", "dict": "an object", "list": "a list", "NoneType": "null", "bool": "true or false"}
        yield Finding(file, line, f"{_said(path)} is {names.get(kind, kind)}, and must be of type {wanted}")
    elif error.validator == "enum":
        values = [str(value) for value in wanted]
        yield Finding(file, line, f"{_said(path)} is {error.instance!r}, and must be one of {', '.join(values)}")
    else:
        yield Finding(file, line, f"{_said(path)}: {error.message[:200]}")


def _said(path: tuple[Key, ...]) -> str:
    return ".".join(str(key) for key in path) or "the document"


def _meant(name: object, known: list[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _instead(name: str, given: list[str], known: list[str]) -> str:
    close = difflib.get_close_matches(name, [each for each in given if each not in known], n=1)
    return f"; is {close[0]!r} meant to be it?" if close else ""


def _times(value: Json, places: Places) -> Iterator[Finding]:
    """In another unit a time lies in 1970, so that a block has ended; with a digit more in 2540, so that no waiver ever does."""
    waiting: list[tuple[Json, tuple[Key, ...]]] = [(value, ())]
    while waiting:
        part, at = waiting.pop()
        if isinstance(part, dict):
            for name, said in part.items():
                waiting.append((said, (*at, name)))
                if not str(name).endswith("_ns") or type(said) is not int:
                    continue
                file, line = standing(places, (*at, name))
                if said < EARLIEST_NS:
                    yield Finding(file, line, f"{_said((*at, name))} is {said}, long past; times are in nanoseconds")
                elif said > LATEST_NS and name == UNTIL and at[:1] != ("blocks",):  # a block may stand for ever
                    advice = "an exception ends: give the time of its next review, in nanoseconds since 1970"
                    yield Finding(file, line, f"{_said((*at, name))} is {said}, after the year 2100; {advice}")
        elif isinstance(part, list):
            waiting.extend((said, (*at, index)) for index, said in enumerate(part))


def _modes(merged: JsonObject, places: Places) -> Iterator[Finding]:
    """Groups that change nothing: their author believes that a rule is on for them, or that it is not."""
    modes = merged.get("rules")
    for rule, mode in modes.items() if isinstance(modes, dict) else ():
        observes = isinstance(mode, dict) and mode.get("enforcement") == "observe"
        groups, other = ("observe_groups", "enforce") if observes else ("enforce_groups", "observe")
        if isinstance(mode, dict) and groups in mode:
            file, line = standing(places, ("rules", rule, groups))
            done = "only observes" if observes else "is enforced"
            yield Finding(
                file, line, f"rules.{rule}.{groups} has no effect: the rule {done} for everybody; set enforcement to {other}"
            )


def _waivers(merged: JsonObject, places: Places) -> Iterator[Finding]:
    """A waiver of a rule that is not waivable has no effect, and its author believes it has."""
    modes = merged.get("rules")
    for at, rule in _waived(merged.get("waivers")):
        mode = modes.get(rule) if isinstance(modes, dict) else None
        if not isinstance(mode, dict) or mode.get("waivable") is not True:
            file, line = standing(places, ("waivers", at))
            yield Finding(
                file, line, f"waives {rule!r}, which is not waivable; set rules.{rule}.waivable to true, or drop the waiver"
            )


def _unknown_rules(merged: JsonObject, places: Places, rules: Collection[str]) -> Iterator[Finding]:
    if not rules:
        return
    modes = merged.get("rules")
    named: list[tuple[tuple[Key, ...], str]] = [(("rules", rule), rule) for rule in modes] if isinstance(modes, dict) else []
    named.extend((("waivers", at), rule) for at, rule in _waived(merged.get("waivers")))
    for path, rule in named:
        if rule not in rules:
            file, line = standing(places, path)
            yield Finding(file, line, f"{_said(path)}: there is no rule {rule!r}{_meant(rule, sorted(rules))}")


def _waived(waivers: Json) -> Iterator[tuple[Key, str]]:
    entries: Iterable[tuple[Key, Json]] = ()
    if isinstance(waivers, dict):
        entries = list(waivers.items())
    elif isinstance(waivers, list):
        entries = list(enumerate(waivers))
    for at, waiver in entries:
        rule = waiver.get("rule") if isinstance(waiver, dict) else None
        if isinstance(rule, str):
            yield at, rule


def _extracts(merged: JsonObject, places: Places) -> Iterator[Finding]:
    """A declaration that cannot be carried out would leave arguments unread."""
    for path, said in _declared(merged):
        for problem in problems(str(path[-1]), said, cast(ItemType, path[2])):
            file, line = standing(places, path)
            yield Finding(file, line, f"{_said(path)} {problem}")


def _declared(merged: JsonObject) -> Iterator[tuple[tuple[Key, ...], Json]]:
    """Every `items.<backend>.<type>.<name>.extract.<argument>`; other shapes are the schema's to refuse."""
    levels: list[tuple[tuple[Key, ...], Json]] = [((), merged)]
    for names in (("items",), None, DECLARING, None, ("extract",), None):
        levels = [
            ((*path, key), said)
            for path, value in levels
            if isinstance(value, dict)
            for key, said in value.items()
            if names is None or key in names
        ]
    yield from levels

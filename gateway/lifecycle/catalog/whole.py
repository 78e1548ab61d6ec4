"""A definition, or a part of one, line by line: what a reader looks for first, then all the rest by JSON pointer.

Nothing is left out: a text that is too long to be shown says how much is missing, and has a sign (`signals.py`).
"""

import json
from collections.abc import Generator, Iterator, Mapping

from gateway.lifecycle.catalog.differences import shown_type
from gateway.lifecycle.catalog.names import Key
from gateway.lifecycle.catalog.words import MAX_NAME, quoted, shortened, visible
from gateway.model import ItemType, Json, JsonObject

MAX_VALUE = 200  # characters of a value on one line; what is longer is shown member by member
NAMED: Mapping[ItemType, str] = {"tool": "name", "prompt": "name", "resource": "uri", "resource_template": "uriTemplate"}


def whole(key: Key, definition: JsonObject) -> Iterator[str]:
    """What has nothing to be compared with. Its name stands in its heading; that arguments are an object goes without saying."""
    rest = {name: value for name, value in definition.items() if name != NAMED[key.type] or value != key.name}
    for name in ("title", "description"):
        if isinstance(told := rest.get(name), str):
            yield f"{name}: {shortened(told)}"
            del rest[name]
    if isinstance(schema := rest.get("inputSchema"), dict):
        rest["inputSchema"] = left = yield from _arguments(schema)
        if not left:
            del rest["inputSchema"]
    if isinstance(hints := rest.get("annotations"), dict) and short(hints):
        yield f"hints: {value(hints)}"
        del rest["annotations"]
    for name, told in rest.items():
        yield from by_pointer(told, f"/{_step(name)}")


def argument(schema: Json) -> tuple[str, str, Json]:
    """Of a property: its type, its text, and what neither of them says (None: nothing)."""
    told = shown_type(schema)
    if not isinstance(schema, dict):
        return told, "", schema
    rest = {**schema}
    types = rest.get("type")
    listed = isinstance(types, list) and all(isinstance(each, str) for each in types)
    if len(told) <= MAX_VALUE and (isinstance(types, str) or listed):
        del rest["type"]
    said = rest.get("description")
    if isinstance(said, str):
        del rest["description"]
    return shortened(told, MAX_VALUE), f"  {shortened(said)}" if isinstance(said, str) else "", rest or None


def by_pointer(told: Json, where: str) -> Iterator[str]:
    """One line for each part that is short or has no parts. `where`: its pointer, visible."""
    if isinstance(told, dict) and not short(told):
        for name, inner in told.items():
            yield from by_pointer(inner, f"{where}/{_step(name)}")
    elif isinstance(told, list) and not short(told) and any(isinstance(each, dict | list) for each in told):
        for place, inner in enumerate(told):
            yield from by_pointer(inner, f"{where}/{place}")
    else:
        yield f"{where}: {_in_full(told)}"


def short(told: Json) -> bool:
    return len(_written(told)) <= MAX_VALUE


def value(told: Json) -> str:
    """Its beginning: what is not `short` is to be shown `by_pointer`, too."""
    written = _written(told)
    return visible(written) if short(told) else f"{visible(written[:MAX_VALUE])}… {len(written) - MAX_VALUE:,} more characters"


def _arguments(schema: JsonObject) -> Generator[str, None, JsonObject]:
    """A line for each; returns what of the schema they do not say."""
    rest = {name: told for name, told in schema.items() if (name, told) not in (("type", "object"), ("properties", {}))}
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return rest
    left: JsonObject = {}
    for name, inner in properties.items():
        type, text, more = argument(inner)
        must = ", required" if isinstance(required, list) and name in required else ""
        yield f"argument {shortened(name, 2 * MAX_NAME)}: {type}{must}{text}"
        if more is not None:
            left[name] = more
    rest |= {"properties": left}
    if isinstance(required, list) and all(isinstance(name, str) and name in properties for name in required):
        del rest["required"]
    return rest if left else {name: told for name, told in rest.items() if name != "properties"}


def _step(name: str) -> str:
    """Cut where it is longer than any name that has no sign, also with all of its escapes."""
    return shortened(name.replace("~", "~0").replace("/", "~1"), 2 * MAX_NAME)


def _in_full(told: Json) -> str:
    if isinstance(told, str):
        return quoted(told)
    if isinstance(told, list) and not short(told):
        return f"[{', '.join(map(_in_full, told))}]"
    return visible(_written(told))


def _written(told: Json) -> str:
    return json.dumps(told, ensure_ascii=False, sort_keys=True)

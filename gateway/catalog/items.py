"""A backend's raw definitions become items: each is checked by itself, and a bad one never costs the others.

Unknown members are kept, so that a later revision's fields reach clients that know them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map

from gateway.catalog.fingerprint import fingerprint
from gateway.catalog.names import NAME, is_uri, public_name, public_uri
from gateway.catalog.templates import pattern
from gateway.model import Era, Item, ItemType, Json, JsonObject, Listing

MAX_DEFINITION_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_NAME = 128
KEPT_META = frozenset({"ui"})  # MCP Apps; other `_meta` of a listing speaks of the hop behind


@dataclass(frozen=True, slots=True)
class Dropped:
    """An item that is not offered on, and why: for the operator's log."""

    backend: str
    type: ItemType
    name: str
    reason: str


def read_items(listing: Listing) -> tuple[tuple[Item, ...], tuple[Dropped, ...]]:
    """The items of a listing in its order; of two with one name the first counts."""
    items: dict[str, Item] = {}
    dropped: list[Dropped] = []
    for raw in listing.definitions:
        name, reason = _name(listing.type, raw), _problem(listing, raw)
        if reason is None and name in items:
            reason = "its name was listed before"
        if reason is not None:
            dropped.append(Dropped(listing.backend, listing.type, name[:MAX_NAME], reason))
            continue
        items[name] = _item(listing, name, raw)
    return tuple(items.values()), tuple(dropped)


def presented(item: Item, definition: Mapping[str, Json], public: str) -> Item:
    """`item` under a public name with this definition, serialised for both eras."""
    member = MEMBERS[item.type]
    shown = {**definition, member: public}
    return Item(
        backend=item.backend,
        type=item.type,
        name=item.name,
        id=item.id,
        public_name=public,
        definition=shown,
        fingerprint=item.fingerprint,
        annotations=item.annotations,
        header_map=item.header_map,
        modern=_serialised(shown, item.type, "modern"),
        legacy=_serialised(shown, item.type, "legacy"),
    )


MEMBERS: Mapping[ItemType, str] = {"tool": "name", "prompt": "name", "resource": "uri", "resource_template": "uriTemplate"}
"""The member of a definition that names the item."""


def _item(listing: Listing, name: str, raw: JsonObject) -> Item:
    named = listing.type in {"tool", "prompt"}
    id = public_name(listing.backend, name) if named else public_uri(listing.backend, name)
    annotations = raw.get("annotations")
    headers = x_mcp_header_map(raw.get("inputSchema")) if listing.type == "tool" else {}
    item = Item(
        backend=listing.backend,
        type=listing.type,
        name=name,
        id=id,
        public_name=id,
        definition={},
        fingerprint=fingerprint(raw),
        annotations=annotations if isinstance(annotations, dict) else {},
        header_map=headers,
    )
    return presented(item, _published(listing.backend, raw), id)


def _published(backend: str, raw: JsonObject) -> JsonObject:
    """Without what speaks of the hop behind: tasks we do not offer, icons of hosts that are not ours, foreign `_meta`."""
    shown = {name: value for name, value in raw.items() if name not in {"execution", "icons", "_meta"}}
    icons = raw.get("icons")
    inline = [each for each in icons if isinstance(each, dict) and _inline(each)] if isinstance(icons, list) else []
    if inline:
        shown["icons"] = list[Json](inline)
    meta = raw.get("_meta")
    kept = {name: value for name, value in meta.items() if name in KEPT_META} if isinstance(meta, dict) else {}
    ui = kept.get("ui")
    if isinstance(ui, dict) and isinstance(ui.get("resourceUri"), str):
        kept["ui"] = {**ui, "resourceUri": public_uri(backend, str(ui["resourceUri"]))}
    if kept:
        shown["_meta"] = kept
    return shown


def _inline(icon: JsonObject) -> bool:
    source = icon.get("src")
    return isinstance(source, str) and source.startswith("data:")


def _serialised(shown: Mapping[str, Json], type: ItemType, era: Era) -> bytes:
    if era == "legacy" and type == "tool" and not _object_schema(shown.get("outputSchema", {"type": "object"})):
        shown = {name: value for name, value in shown.items() if name != "outputSchema"}
    return msgspec.json.encode(shown)


def _name(type: ItemType, raw: JsonObject) -> str:
    name = raw.get(MEMBERS[type])
    return name if isinstance(name, str) else ""


def _problem(listing: Listing, raw: JsonObject) -> str | None:
    """Why this definition is not offered on; None: it is good."""
    size = len(msgspec.json.encode(raw))
    if size > MAX_DEFINITION_BYTES:
        return f"its definition has {size} bytes, more than {MAX_DEFINITION_BYTES}"
    if _depth_over(raw, MAX_DEPTH):
        return f"its definition is nested deeper than {MAX_DEPTH} levels"
    texts = [each for each in ("title", "description") if not isinstance(raw.get(each, ""), str)]
    if texts:
        return f"its {texts[0]} is not a text"
    return _PROBLEMS[listing.type](listing.backend, _name(listing.type, raw), raw)


def _named(backend: str, name: str, raw: JsonObject) -> str | None:
    if not NAME.fullmatch(name):
        return "its name is not 1 to 128 letters, digits, `_`, `.` and `-`"
    if len(public_name(backend, name)) > MAX_NAME:
        return f"its name is longer than {MAX_NAME} characters with the backend's in front"
    return None


def _tool(backend: str, name: str, raw: JsonObject) -> str | None:
    problem = _named(backend, name, raw)
    if problem is not None:
        return problem
    if not _object_schema(raw.get("inputSchema")):
        return "its inputSchema is not the schema of an object"
    if not isinstance(raw.get("outputSchema", {}), dict):
        return "its outputSchema is not a schema"
    if not isinstance(raw.get("annotations", {}), dict):
        return "its annotations are not an object"
    return find_invalid_x_mcp_header(raw.get("inputSchema"))


def _prompt(backend: str, name: str, raw: JsonObject) -> str | None:
    problem = _named(backend, name, raw)
    arguments = raw.get("arguments", [])
    if problem is None and not (
        isinstance(arguments, list) and all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in arguments)
    ):
        return "its arguments are not a list of named ones"
    return problem


def _resource(backend: str, name: str, raw: JsonObject) -> str | None:
    if not is_uri(name):
        return "its uri is not an absolute URI"
    return None if isinstance(raw.get("name", ""), str) else "its name is not a text"


def _template(backend: str, name: str, raw: JsonObject) -> str | None:
    return None if name and pattern(name) is not None else "its uriTemplate is not a URI template (RFC 6570)"


_PROBLEMS: Mapping[ItemType, Callable[[str, str, JsonObject], str | None]] = {
    "tool": _tool,
    "prompt": _prompt,
    "resource": _resource,
    "resource_template": _template,
}


def _object_schema(schema: Json) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "object"


def _depth_over(value: Json, limit: int) -> bool:
    """Without recursion: the value is a backend's."""
    level: list[Json] = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True

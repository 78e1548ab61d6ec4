"""A backend's raw definitions become items: each is checked by itself, and a bad one never costs the others.

Unknown members are kept, so that a later revision's fields reach clients that know them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map

from gateway.catalog.fingerprint import KEPT_META, fingerprint
from gateway.catalog.names import NAME, public_name, public_uri, split_uri, uri_problem
from gateway.catalog.shapes import inline_icons, misshapen, object_schema, without_nulls
from gateway.catalog.templates import pattern
from gateway.model import Item, ItemType, Json, JsonObject, Listing

MAX_DEFINITION_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_NAME = 128  # 2026-07-28, server/tools: tool names
MAX_SHOWN = 128  # characters of a refused name in the operator's log
LISTED_BEFORE = "its name was listed before"
MEMBERS: Mapping[ItemType, str] = {"tool": "name", "prompt": "name", "resource": "uri", "resource_template": "uriTemplate"}
"""The member of a definition that names the item."""
_HEADER_MARK = b'"x-mcp-header"'  # msgspec writes a key in one way only, so its absence is certain


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
        name, encoded = _name(listing.type, raw), _encoded(raw)
        reason = _problem(listing, name, raw, encoded)
        if reason is None and name in items:
            reason = LISTED_BEFORE
        if reason is not None:
            dropped.append(Dropped(listing.backend, listing.type, name[:MAX_SHOWN], reason))
            continue
        items[name] = _item(listing, name, raw, headers=_HEADER_MARK in encoded)
    return tuple(items.values()), tuple(dropped)


def presented(item: Item, definition: Mapping[str, Json], public: str) -> Item:
    """`item` under a public name with this definition, serialised for both eras."""
    shown = {**definition, MEMBERS[item.type]: public}
    modern = msgspec.json.encode(shown)
    legacy = modern
    if item.type == "tool" and not object_schema(shown.get("outputSchema", {"type": "object"})):
        # 2025-11-25, server/tools: an outputSchema is the schema of an object; its clients refuse any other
        legacy = msgspec.json.encode({name: value for name, value in shown.items() if name != "outputSchema"})
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
        modern=modern,
        legacy=legacy,
    )


def own_links(definition: Mapping[str, Json]) -> Mapping[str, Json]:
    """The definition with the backend's own URI of its user interface, as a bare surface shows it."""
    meta = definition.get("_meta")
    ui = meta.get("ui") if isinstance(meta, dict) else None
    uri = ui.get("resourceUri") if isinstance(ui, dict) else None
    place = split_uri(uri) if isinstance(uri, str) else None
    if place is None:
        return definition
    assert isinstance(meta, dict) and isinstance(ui, dict)
    return {**definition, "_meta": {**meta, "ui": {**ui, "resourceUri": place[1]}}}


def _item(listing: Listing, name: str, raw: JsonObject, *, headers: bool) -> Item:
    named = listing.type in {"tool", "prompt"}
    id = public_name(listing.backend, name) if named else public_uri(listing.backend, name)
    definition = _published(listing.backend, listing.type, raw)
    annotations = definition.get("annotations")
    item = Item(
        backend=listing.backend,
        type=listing.type,
        name=name,
        id=id,
        public_name=id,
        definition={},
        fingerprint=fingerprint(raw),
        annotations=annotations if isinstance(annotations, dict) else {},
        header_map=x_mcp_header_map(raw.get("inputSchema")) if headers and listing.type == "tool" else {},
    )
    return presented(item, definition, id)


def _published(backend: str, type: ItemType, raw: JsonObject) -> JsonObject:
    """Without what speaks of the hop behind: tasks we do not offer, icons of hosts that are not ours, foreign `_meta`."""
    shown = without_nulls(type, raw)
    for name in ("execution", "icons", "_meta"):
        shown.pop(name, None)
    icons = inline_icons(raw.get("icons"))
    if icons:
        shown["icons"] = icons
    meta = raw.get("_meta")
    kept = {name: value for name, value in meta.items() if name in KEPT_META} if isinstance(meta, dict) else {}
    ui = kept.get("ui")
    if isinstance(ui, dict) and isinstance(ui.get("resourceUri"), str):
        kept["ui"] = {**ui, "resourceUri": public_uri(backend, str(ui["resourceUri"]))}
    if kept:
        shown["_meta"] = kept
    return shown


def _name(type: ItemType, raw: JsonObject) -> str:
    name = raw.get(MEMBERS[type])
    return name if isinstance(name, str) else ""


def _encoded(raw: JsonObject) -> bytes:
    """Nothing for what is nested too deeply to be written."""
    try:
        return msgspec.json.encode(raw)
    except RecursionError:
        return b""


def _problem(listing: Listing, name: str, raw: JsonObject, encoded: bytes) -> str | None:
    """Why this definition is not offered on; None: it is good."""
    if len(encoded) > MAX_DEFINITION_BYTES:
        return f"its definition has {len(encoded)} bytes, more than {MAX_DEFINITION_BYTES}"
    brackets = encoded.count(b"{") + encoded.count(b"[")
    if not encoded or (brackets > MAX_DEPTH and _depth_over(raw, MAX_DEPTH)):
        return f"its definition is nested deeper than {MAX_DEPTH} levels"
    problem = _unnamed(listing.type, listing.backend, name) or misshapen(listing.type, raw)
    if problem is None and listing.type == "tool":
        if raw.get("inputSchema") is None:
            return "it has no inputSchema"
        if _HEADER_MARK in encoded:
            return find_invalid_x_mcp_header(raw["inputSchema"])
    return problem


def _unnamed(type: ItemType, backend: str, name: str) -> str | None:
    """What is wrong with its name."""
    if type == "resource":
        return uri_problem(name)  # as strict as reading: what is listed can be asked for
    if type == "resource_template":
        return None if pattern(name) is not None else "its uriTemplate is not a URI template (RFC 6570)"
    if not NAME.fullmatch(name):
        return "its name is not 1 to 128 letters, digits, `_`, `.` and `-`"
    if len(public_name(backend, name)) > MAX_NAME:
        return f"its name is longer than {MAX_NAME} characters with the backend's in front"
    return None


def _depth_over(value: Json, limit: int) -> bool:
    """Without recursion: the value is a backend's."""
    level: list[Json] = [value]
    for _ in range(limit):
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

"""URIs inside results: which there are, which may stay, and under which name. Copies only what changes.

One walk finds and rewrites, so that no URI can be judged and then left, or rewritten and never judged.
"""

import operator
from collections.abc import Callable

from gateway.catalog.shapes import inline_icons
from gateway.catalog.surface import View
from gateway.model import Json, JsonObject

Change = Callable[[str], str | None]
"""A URI's new form; None: whatever carries it goes."""


def linked_uris(result: JsonObject, *, method: str) -> tuple[str, ...]:
    """The backend's URIs in links, embedded resources, contents and user interfaces, each once."""
    found: dict[str, None] = {}

    def noted(uri: str) -> str:
        found[uri] = None
        return uri

    _changed(result, method, noted)
    return tuple(found)


def publish(result: JsonObject, *, method: str, backend: str, view: View) -> JsonObject:
    """With public URIs, and without icons that live on hosts behind the gateway."""
    return _changed(result, method, lambda uri: view.publish_uri(backend, uri))


def without(result: JsonObject, *, method: str, uris: frozenset[str]) -> JsonObject:
    """Without the blocks, contents and user interfaces that carry one of `uris`."""
    return _changed(result, method, lambda uri: None if uri in uris else uri)


def _changed(result: JsonObject, method: str, change: Change) -> JsonObject:
    member, inner = _PLACES.get(method, ("content", _block))
    values, shown = result.get(member), _with_interface(result, change)
    if not isinstance(values, list):
        return shown
    changed = _each(values, inner, change)
    return shown if changed is values else {**shown, member: changed}


def _each(values: list[Json], inner: Callable[[JsonObject, Change], JsonObject | None], change: Change) -> list[Json]:
    changed = [inner(each, change) if isinstance(each, dict) else each for each in values]
    if all(map(operator.is_, values, changed)):
        return values
    return [new for old, new in zip(values, changed, strict=True) if new is not None or old is None]


def _message(message: JsonObject, change: Change) -> JsonObject | None:
    content = message.get("content")
    if isinstance(content, list):
        blocks = _each(content, _block, change)
        return message if blocks is content else {**message, "content": blocks}
    if not isinstance(content, dict):
        return message
    block = _block(content, change)
    if block is None or block is content:
        return None if block is None else message
    return {**message, "content": block}


def _block(block: JsonObject, change: Change) -> JsonObject | None:
    """A content block of any type: a later one that links does it by these members too."""
    shown = _holder(block, change)
    resource = block.get("resource")
    if shown is None or not isinstance(resource, dict):
        return shown
    inner = _holder(resource, change)
    if inner is None or inner is resource:
        return None if inner is None else shown
    return {**shown, "resource": inner}


def _holder(holder: JsonObject, change: Change) -> JsonObject | None:
    shown = _with_interface(holder, change)
    uri = holder.get("uri")
    if not isinstance(uri, str):
        return shown
    public = change(uri)
    if public is None:
        return None
    shown = shown if public == uri else {**shown, "uri": public}
    if "icons" in shown:
        shown = {name: value for name, value in shown.items() if name != "icons"}
        icons = inline_icons(holder["icons"])
        if icons:
            shown["icons"] = icons
    return shown


def _with_interface(holder: JsonObject, change: Change) -> JsonObject:
    """MCP Apps: the user interface that a result or a block names in its `_meta`."""
    meta = holder.get("_meta")
    ui = meta.get("ui") if isinstance(meta, dict) else None
    uri = ui.get("resourceUri") if isinstance(ui, dict) else None
    if not isinstance(uri, str):
        return holder
    assert isinstance(meta, dict) and isinstance(ui, dict)
    public = change(uri)
    if public is None:
        return {**holder, "_meta": {name: value for name, value in meta.items() if name != "ui"}}
    return holder if public == uri else {**holder, "_meta": {**meta, "ui": {**ui, "resourceUri": public}}}


_PLACES: dict[str, tuple[str, Callable[[JsonObject, Change], JsonObject | None]]] = {
    "resources/read": ("contents", _holder),
    "prompts/get": ("messages", _message),
}
"""Where a method's result keeps what can link; elsewhere in the blocks of `content`."""

"""URIs inside results: which there are, which may stay, and under which name. Copies only what changes."""

from collections.abc import Callable, Iterator

from gateway.catalog.surface import View
from gateway.model import Json, JsonObject


def linked_uris(result: JsonObject, *, method: str) -> tuple[str, ...]:
    """The backend's URIs in links, embedded resources and contents, each once."""
    found = [uri for holder in _holders(result, method) if isinstance(uri := holder.get("uri"), str)]
    return tuple(dict.fromkeys(found))


def publish(result: JsonObject, *, method: str, backend: str, view: View) -> JsonObject:
    """With public URIs."""
    if view.bare:
        return result

    def public(holder: JsonObject) -> JsonObject:
        uri = holder.get("uri")
        return {**holder, "uri": view.publish_uri(backend, uri)} if isinstance(uri, str) else holder

    return _changed(result, method, public)


def without(result: JsonObject, *, method: str, uris: frozenset[str]) -> JsonObject:
    """Without the blocks and contents that carry one of `uris`."""

    def kept(holder: JsonObject) -> JsonObject | None:
        return None if holder.get("uri") in uris else holder

    return _changed(result, method, kept)


def _changed(result: JsonObject, method: str, change: Callable[[JsonObject], JsonObject | None]) -> JsonObject:
    if method == "resources/read":
        return {**result, "contents": _each(result.get("contents"), change)}
    if method == "prompts/get":
        return {**result, "messages": _each(result.get("messages"), lambda message: _message(message, change))}
    return {**result, "content": _each(result.get("content"), lambda block: _block(block, change))}


def _each(values: Json, change: Callable[[JsonObject], JsonObject | None]) -> Json:
    if not isinstance(values, list):
        return values
    changed = [change(each) if isinstance(each, dict) else each for each in values]
    return [each for each in changed if each is not None]


def _message(message: JsonObject, change: Callable[[JsonObject], JsonObject | None]) -> JsonObject | None:
    content = message.get("content")
    if not isinstance(content, dict):
        return message
    block = _block(content, change)
    return None if block is None else {**message, "content": block}


def _block(block: JsonObject, change: Callable[[JsonObject], JsonObject | None]) -> JsonObject | None:
    if block.get("type") == "resource_link":
        return change(block)
    resource = block.get("resource")
    if block.get("type") == "resource" and isinstance(resource, dict):
        inner = change(resource)
        return None if inner is None else {**block, "resource": inner}
    return block


def _holders(result: JsonObject, method: str) -> Iterator[JsonObject]:
    """Every object of the result that has a URI to be judged."""
    if method == "resources/read":
        yield from _objects(result.get("contents"))
        return
    blocks = _objects(result.get("content"))
    if method == "prompts/get":
        contents = (message.get("content") for message in _objects(result.get("messages")))
        blocks = (content for content in contents if isinstance(content, dict))
    for block in blocks:
        if block.get("type") == "resource_link":
            yield block
        resource = block.get("resource")
        if block.get("type") == "resource" and isinstance(resource, dict):
            yield resource


def _objects(values: Json) -> Iterator[JsonObject]:
    return (each for each in values if isinstance(each, dict)) if isinstance(values, list) else iter(())

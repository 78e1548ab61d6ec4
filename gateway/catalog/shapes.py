"""What a definition must look like, so that clients can read it: most refuse a whole list for one misshapen entry.

A member that is null counts as absent; some servers write every optional member.
"""

from collections.abc import Callable, Mapping

from gateway.model import ItemType, Json, JsonObject

Check = Callable[[Json], bool]


MAX_SAFE = 2**53 - 1  # beyond it a number that was written as a float is not exact


def misshapen(type: ItemType, raw: JsonObject) -> str | None:
    """The first member that is not what 2026-07-28, schema, says it is; None: all are."""
    for name, (check, expected) in _MEMBERS[type].items():
        value = raw.get(name)
        if value is not None and not check(value):
            return f"its {name} {expected}"
    if type in {"resource", "resource_template"} and raw.get("name") is None:
        return "it has no name"
    return None


def without_nulls(type: ItemType, raw: JsonObject) -> JsonObject:
    """Without known members that are null, also within annotations and arguments: typed clients refuse them."""
    shown = {name: value for name, value in raw.items() if value is not None or name not in _MEMBERS[type]}
    annotations, arguments = shown.get("annotations"), shown.get("arguments")
    if isinstance(annotations, dict) and None in annotations.values():
        shown["annotations"] = _present(annotations)
    if type == "prompt" and isinstance(arguments, list):
        shown["arguments"] = [_present(each) if isinstance(each, dict) else each for each in arguments]
    return shown


def inline_icons(icons: Json) -> list[Json]:
    """Those that carry their own image. Others name hosts behind the gateway, which a client must not be sent to."""
    return [each for each in icons if isinstance(each, dict) and _inline_icon(each)] if isinstance(icons, list) else []


def object_schema(schema: Json) -> bool:
    """2025-11-25, schema, Tool: of an object, its properties schemas, its required members named by a list of texts."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return False
    properties = schema.get("properties", {})
    return (
        isinstance(properties, dict)
        and all(isinstance(each, dict | bool) for each in properties.values())
        and _texts(schema.get("required", []))
    )


def _present(members: JsonObject) -> JsonObject:
    return {name: value for name, value in members.items() if value is not None}


def _inline_icon(icon: JsonObject) -> bool:
    source, sizes = icon.get("src"), icon.get("sizes", [])
    return (
        isinstance(source, str)
        and source.startswith("data:")
        and _text(icon.get("mimeType", ""))
        and _texts(sizes)
        and icon.get("theme", "light") in ("light", "dark")
    )


def _text(value: Json) -> bool:
    return isinstance(value, str)


def _texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _size(value: Json) -> bool:
    """A whole number of bytes that every reader takes for the same one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -MAX_SAFE <= value <= MAX_SAFE and float(value).is_integer()


def _schema(value: Json) -> bool:
    return isinstance(value, dict)


def _hints(value: Json) -> bool:
    """Tool annotations."""
    if not isinstance(value, dict):
        return False
    title, *hints = (value.get(name) for name in ("title", *_HINTS))
    return (title is None or isinstance(title, str)) and all(each is None or isinstance(each, bool) for each in hints)


def _annotations(value: Json) -> bool:
    """Annotations of a resource or a template."""
    if not isinstance(value, dict):
        return False
    audience, priority, modified = value.get("audience"), value.get("priority"), value.get("lastModified")
    audible = audience is None or (isinstance(audience, list) and all(each in ("user", "assistant") for each in audience))
    ranked = priority is None or (isinstance(priority, int | float) and not isinstance(priority, bool) and 0 <= priority <= 1)
    return audible and ranked and (modified is None or isinstance(modified, str))


def _arguments(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and _argument(each) for each in value)


def _argument(argument: JsonObject) -> bool:
    texts = [argument.get("title"), argument.get("description")]
    required = argument.get("required")
    return (
        isinstance(argument.get("name"), str)
        and all(each is None or isinstance(each, str) for each in texts)
        and (required is None or isinstance(required, bool))
    )


_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_SAID: Mapping[str, tuple[Check, str]] = {"title": (_text, "is not a text"), "description": (_text, "is not a text")}
_CONTENT: Mapping[str, tuple[Check, str]] = {
    **_SAID,
    "name": (_text, "is not a text"),
    "mimeType": (_text, "is not a text"),
    "annotations": (_annotations, "are not annotations of content"),
}
_MEMBERS: Mapping[ItemType, Mapping[str, tuple[Check, str]]] = {
    "tool": {
        **_SAID,
        "inputSchema": (object_schema, "is not the schema of an object"),
        "outputSchema": (_schema, "is not a schema"),
        "annotations": (_hints, "are not a title and hints that are true or false"),
    },
    "prompt": {**_SAID, "arguments": (_arguments, "are not a list of named ones")},
    "resource": {**_CONTENT, "size": (_size, "is not a whole number")},
    "resource_template": _CONTENT,
}

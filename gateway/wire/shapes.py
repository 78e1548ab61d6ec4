"""What the parameters of each method must look like, in both eras. Shape only: whether the thing exists is not known here.

A member that is absent takes its default; one that is `null` is a mistake, and is told so: readers disagree on what it means.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.errors import Kind, Refusal
from gateway.model import JsonObject

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")  # RFC 5424
LOG_LEVEL_META_KEY: Final = "io.modelcontextprotocol/logLevel"
MAX_NAME_CHARS = 256
MAX_URI_CHARS = 8192


def check_params(method: str, params: JsonObject) -> None:
    """The parameters of `method` are well-formed, `_meta` included. Raises `Refusal(INVALID_PARAMS)`."""
    meta = params.get("_meta", {})
    _want(isinstance(meta, dict), "_meta must be an object")
    assert isinstance(meta, dict)
    token = meta.get("progressToken", "")
    _want(isinstance(token, int | str) and not isinstance(token, bool), "_meta.progressToken must be a string or an integer")
    level = meta.get(LOG_LEVEL_META_KEY, LEVELS[0])
    _want(level in LEVELS, f"_meta[{LOG_LEVEL_META_KEY!r}] must be one of {', '.join(LEVELS)}")
    _want("requestState" not in params, "requestState: this gateway issued none; send the request without it")
    check = _CHECKS.get(method)
    if check is not None:
        check(params)


def _want(right: bool, message: str) -> None:
    if not right:
        raise Refusal(Kind.INVALID_PARAMS, message)


def _list(params: JsonObject) -> None:
    _want(isinstance(params.get("cursor", ""), str), "cursor must be a string; leave it out to start at the beginning")


def _named(params: JsonObject) -> None:
    name = params.get("name")
    _want(isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS, f"name must be a string of 1 to {MAX_NAME_CHARS} characters")
    _want(isinstance(params.get("arguments", {}), dict), "arguments must be an object; leave it out if there are none")


def _prompt(params: JsonObject) -> None:
    _named(params)
    arguments = params.get("arguments", {})
    assert isinstance(arguments, dict)
    _want(all(isinstance(each, str) for each in arguments.values()), "the arguments of a prompt must be strings")


def _uri(params: JsonObject) -> None:
    uri = params.get("uri")
    _want(isinstance(uri, str) and 0 < len(uri) <= MAX_URI_CHARS, f"uri must be a string of 1 to {MAX_URI_CHARS} characters")


def _completion(params: JsonObject) -> None:
    reference, argument, context = params.get("ref"), params.get("argument"), params.get("context", {})
    _want(isinstance(reference, dict), "ref must be an object")
    assert isinstance(reference, dict)
    member = {"ref/prompt": "name", "ref/resource": "uri"}.get(str(reference.get("type")))
    _want(
        member is not None and isinstance(reference.get(member), str),
        "ref must be a ref/prompt with name or a ref/resource with uri",
    )
    _want(isinstance(argument, dict), "argument must be an object with name and value")
    assert isinstance(argument, dict)
    _want(
        all(isinstance(argument.get(each), str) for each in ("name", "value")),
        "argument must have a name and a value, both strings",
    )
    _want(isinstance(context, dict), "context must be an object")
    assert isinstance(context, dict)
    known = context.get("arguments", {})
    _want(
        isinstance(known, dict) and all(isinstance(each, str) for each in known.values()),
        "context.arguments must be strings by name",
    )


def _level(params: JsonObject) -> None:
    _want(params.get("level") in LEVELS, f"level must be one of {', '.join(LEVELS)}")


def _initialize(params: JsonObject) -> None:
    _want(isinstance(params.get("protocolVersion"), str), "protocolVersion must be a string")
    _want(isinstance(params.get("capabilities"), dict), "capabilities must be an object")
    _want(isinstance(params.get("clientInfo"), dict), "clientInfo must be an object")


def _listen(params: JsonObject) -> None:
    wanted = params.get("notifications")
    _want(isinstance(wanted, dict), "notifications must be an object that says what to be told of")
    assert isinstance(wanted, dict)
    flags = ("toolsListChanged", "promptsListChanged", "resourcesListChanged")
    _want(all(isinstance(wanted.get(each, False), bool) for each in flags), f"{', '.join(flags)} must be booleans")
    uris = wanted.get("resourceSubscriptions", [])
    _want(isinstance(uris, list) and all(isinstance(each, str) for each in uris), "resourceSubscriptions must be a list of URIs")


_CHECKS: Mapping[str, Callable[[JsonObject], None]] = {
    "tools/list": _list,
    "prompts/list": _list,
    "resources/list": _list,
    "resources/templates/list": _list,
    "tools/call": _named,
    "prompts/get": _prompt,
    "resources/read": _uri,
    "resources/subscribe": _uri,
    "resources/unsubscribe": _uri,
    "completion/complete": _completion,
    "logging/setLevel": _level,
    "initialize": _initialize,
    "subscriptions/listen": _listen,
}

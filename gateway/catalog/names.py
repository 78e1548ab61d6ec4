"""Public names and back: every item of every backend under one name that says whose it is.

Tools and prompts: `<backend>__<name>`. A backend's name has no underscore, so the first `__` divides it, whatever follows.
Resources: `gw-<backend>+<uri>`, a prefix, so that templates and sub-resources stay what they are; `ui://` stays `ui://`.
"""

import re

from gateway.errors import Kind, Refusal

SEPARATOR = "__"
NAME = re.compile(r"[A-Za-z0-9_.\-]{1,128}")  # 2026-07-28, server/tools: tool names
_BACKEND = re.compile(r"[a-z][a-z0-9]{0,23}")
_PUBLIC_URI = re.compile(r"gw-([a-z][a-z0-9]{0,23})\+(.+)", re.DOTALL)
_PUBLIC_UI = re.compile(r"ui://gw-([a-z][a-z0-9]{0,23})\.(.*)", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_AMBIGUOUS = re.compile(r"%2e|%2f|%5c|%00|%25", re.IGNORECASE)  # read as `.`, `/`, `\` or `%` by one reader and not by another
_FORBIDDEN = re.compile(r"[^\x21-\x7e]|[\\<>\"^`{|}]")  # RFC 3986: none of them stands in a URI unescaped


def public_name(backend: str, name: str) -> str:
    return f"{backend}{SEPARATOR}{name}"


def split_name(public: str) -> tuple[str, str] | None:
    """Backend and its own name; None: no name of ours."""
    backend, separator, name = public.partition(SEPARATOR)
    return (backend, name) if separator and name and _BACKEND.fullmatch(backend) else None


def public_uri(backend: str, uri: str) -> str:
    """Also for URI templates."""
    if uri.startswith("ui://"):
        return f"ui://gw-{backend}.{uri.removeprefix('ui://')}"
    return f"gw-{backend}+{uri}"


def split_uri(public: str) -> tuple[str, str] | None:
    """Backend and its own URI; None: no URI of ours. Only what `public_uri` makes is ours, so no URI has two public forms."""
    match = _PUBLIC_UI.fullmatch(public)
    if match is not None:
        return match[1], f"ui://{match[2]}"
    match = _PUBLIC_URI.fullmatch(public)
    return (match[1], match[2]) if match is not None and not match[2].startswith("ui://") else None


def uri_problem(uri: str) -> str | None:
    """What keeps `uri`, public or a backend's own, from being one that all readers read alike; None: nothing."""
    place = split_uri(uri)
    if not all(_SCHEME.match(each) and not _FORBIDDEN.search(each) for each in (uri, place[1] if place else uri)):
        return "uri must be an absolute URI in ASCII, with other characters percent-encoded"
    path = uri.split("?", 1)[0].split("#", 1)[0]
    own = place[1].split("?", 1)[0].split("#", 1)[0] if place else path  # `ui://gw-crm.../x` is `ui://../x` over there
    if _AMBIGUOUS.search(path) or _has_dots(path) or _has_dots(own):
        return "uri must not have dot segments, or an encoded dot, slash, backslash or percent sign"
    return None


def check_uri(uri: str) -> None:
    """Refuse what two readers could read differently, rather than mend it. Raises `Refusal(INVALID_PARAMS)`."""
    problem = uri_problem(uri)
    if problem is not None:
        raise Refusal(Kind.INVALID_PARAMS, problem)


def _has_dots(path: str) -> bool:
    """Some readers cut `..;x` to `..`."""
    return any(segment.split(";", 1)[0] in {".", ".."} for segment in re.split(r"[/:+]", path))

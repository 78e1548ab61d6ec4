"""The head of an HTTP request, and what must be right about it before the body is looked at.

Duplicates are seen here, on the raw lines: a mapping would hide them, and readers would disagree on which one counts.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import Kind, Refusal
from gateway.wire.limits import BodyLimits

SINGLE = frozenset(
    {"mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "content-type", "content-length", "host", "origin"}
)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII)  # RFC 3986 3.2.2, lower case
_ORIGIN: Final = re.compile(r"https?://(?P<host>[^/?#@]+)", re.ASCII)  # RFC 6454 6.2: no path, no user
_REFUSED_RANGE: Final = re.compile(r";\s*q\s*=\s*0(?:\.0*)?\s*(?:;|$)")  # RFC 9110 12.4.2: a weight of 0 is "not acceptable"
JSON, STREAM = "application/json", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Head:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]  # lower-case names, values without blanks around
    _values: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_values", dict(self.headers))

    def one(self, name: str) -> str | None:
        """The value of a header that may come once; None: it is absent. Raises `Refusal` for a second line."""
        if len(self._values) == len(self.headers):  # no name came twice, as is the rule
            return self._values.get(name)
        found = [value for key, value in self.headers if key == name]
        if len(found) > 1 and name in SINGLE:
            mismatch = name.startswith("mcp-") and name != "mcp-session-id"
            raise Refusal(
                Kind.HEADER_MISMATCH if mismatch else Kind.INVALID_REQUEST, f"the header {name} was sent more than once"
            )
        return found[0] if found else None


def head(scope: Any, limits: BodyLimits) -> Head:
    """From an ASGI scope; uvicorn leaves blanks at the end of values. Raises `Refusal(HEADERS_TOO_LARGE)`."""
    raw = scope["headers"]
    if len(raw) > limits.max_headers_count:
        raise Refusal(Kind.HEADERS_TOO_LARGE, f"more than {limits.max_headers_count} header lines")
    if sum(len(name) + len(value) for name, value in raw) > limits.max_headers_bytes:
        raise Refusal(Kind.HEADERS_TOO_LARGE, f"more than {limits.max_headers_bytes} bytes of headers")
    lines = tuple((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")) for name, value in raw)
    return Head(scope["method"], scope["path"], lines)


def check_host(head: Head, allowed: Collection[str]) -> None:
    """The Host is loopback's or an allowed one: a page of another site cannot reach us by rebinding its name."""
    host = head.one("host")
    if host is None or not _known(host, allowed):
        raise Refusal(Kind.FORBIDDEN_ORIGIN, "this Host is not served here (listen.allowed_hosts)", cause="host")


def check_forwarded_host(values: Iterable[str], allowed: Collection[str]) -> None:
    """What a proxy says it was asked for is a name of ours too; it stands in for the Host in nothing else."""
    for host in (each.strip(" \t") for value in values for each in value.split(",")):
        if not _known(host, allowed):
            raise Refusal(Kind.FORBIDDEN_ORIGIN, "this X-Forwarded-Host is not served here (listen.allowed_hosts)", cause="host")


def check_origin(head: Head, allowed: Collection[str]) -> None:
    """Browsers send an Origin; one that is there must be allowed (2026-07-28, transports: security)."""
    origin = head.one("origin")
    if origin is None or origin.lower() in {each.lower() for each in allowed}:
        return
    parts = _ORIGIN.fullmatch(origin.lower())
    if parts is None or not _known(parts["host"], ()):
        raise Refusal(Kind.FORBIDDEN_ORIGIN, "requests of this Origin are not accepted (listen.allowed_origins)", cause="origin")


def check_accept(head: Head) -> None:
    """A POST accepts both forms of answer, a GET the stream. Raises `Refusal(NOT_ACCEPTABLE)`."""
    wanted = (STREAM,) if head.method == "GET" else (JSON, STREAM)
    listed = (part.lower() for name, value in head.headers if name == "accept" for part in value.split(","))
    ranges = {part.split(";")[0].strip() for part in listed if not _REFUSED_RANGE.search(part)}
    for each in wanted:
        if not ranges & {each, each.split("/")[0] + "/*", "*/*"}:
            raise Refusal(Kind.NOT_ACCEPTABLE, f"Accept must list {' and '.join(wanted)}")


def check_content_type(head: Head) -> None:
    """Only JSON, as it is: other types can be posted by any page without asking."""
    if (head.one("content-type") or "").split(";")[0].strip().lower() != JSON:
        raise Refusal(Kind.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {JSON}")
    if any(name == "content-encoding" and value.lower() != "identity" for name, value in head.headers):
        raise Refusal(Kind.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding is not supported: send the JSON as it is")
    if any(name == "upgrade" for name, _ in head.headers):
        raise Refusal(Kind.INVALID_REQUEST, "no other protocol can be upgraded to here")


def _known(host: str, allowed: Iterable[str]) -> bool:
    """Loopback on any port, or one of `allowed`, given with a port or without."""
    parts = _HOST.fullmatch(host.lower())
    return parts is not None and (
        parts["name"] in LOOPBACK or any(each.lower() in {host.lower(), parts["name"]} for each in allowed)
    )

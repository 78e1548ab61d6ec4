"""Where a URL leads, if RFC 3986 and the WHATWG agree on it; where they read differently, it is unreadable.

The password and the name before an `@` are never repeated: whether they are there is the fact.
"""

import re
import unicodedata

from gateway.model import JsonObject
from gateway.policy.extract.hosts import host
from gateway.policy.extract.unreadable import Unreadable

MAX_CHARS = 8_192
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}  # WHATWG's special schemes, which have a host always
OPAQUE = frozenset({"data", "javascript", "mailto", "blob", "about", "tel", "urn", "vbscript"})


def url(text: str) -> JsonObject:
    """Scheme, host, port, path and what is odd about it. Raises `Unreadable`."""
    if len(text) > MAX_CHARS:
        raise Unreadable(f"it is longer than {MAX_CHARS} characters")
    if any(char.isspace() or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co"} for char in text):
        raise Unreadable("it has a space, a control character or one that cannot be seen")
    if "\\" in text:
        raise Unreadable("it has a backslash, which some read as a slash")
    found = SCHEME.match(text)
    if found is None:
        raise Unreadable("it has no scheme")
    scheme, rest = found[1].lower(), text[found.end() :]
    if not rest.startswith("//"):
        if scheme in PORTS or scheme not in OPAQUE:
            raise Unreadable("it has no '//' after its scheme")
        return {"scheme": scheme, "user_info": False}
    authority, tail = _parts(rest[2:])
    said: JsonObject = {"scheme": scheme, "user_info": "@" in authority, "path": _path(tail)}
    place = authority.rpartition("@")[2]
    if authority.count("@") > 1:
        raise Unreadable("it has more than one '@' before its path")
    if not place:
        if scheme != "file" or "@" in authority:
            raise Unreadable("it has no host")
        return said
    name, port = _place(place)
    machine = host(name)
    said |= {"host": machine.name, "host_kind": machine.kind, "network": machine.network}
    number = port if port is not None else PORTS.get(scheme)
    if number is not None:
        said["port"] = number
    return said


def path_of(text: str) -> str:
    """The path of a URI that names a file (`file:///srv/data/a`), for `paths` to read. Raises `Unreadable`."""
    said = url(text)
    if said.get("host") is not None or "path" not in said:
        raise Unreadable("its path is not on a machine of its own: it has a host, or nothing but words after its scheme")
    if "?" in text or "#" in text:
        raise Unreadable("it has a '?' or '#', which some read as part of the path")
    return str(said["path"])


def _parts(rest: str) -> tuple[str, str]:
    end = next((position for position, char in enumerate(rest) if char in "/?#"), len(rest))
    return rest[:end], rest[end:]


def _path(tail: str) -> str:
    return re.split("[?#]", tail, maxsplit=1)[0] or "/"


def _place(place: str) -> tuple[str, int | None]:
    """Host and port, the host with its brackets."""
    if place.startswith("["):
        name, bracket, after = place.partition("]")
        name += bracket
    else:
        name, colon, number = place.partition(":")
        after = colon + number
    if not after or after == ":":
        return name, None
    if not re.fullmatch(":[0-9]{1,5}", after) or not 0 < int(after[1:]) < 65_536:
        raise Unreadable("its port is no port")
    return name, int(after[1:])

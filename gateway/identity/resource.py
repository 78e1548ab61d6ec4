"""What a token must be for: each surface is a protected resource of its own, with one canonical URI (RFC 8707 2)."""

import re

_URI = re.compile(
    r"(https?)://([A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?((?:/[\x21\x24-\x3b\x3d\x40-\x5b\x5d\x5f\x61-\x7a\x7e%]*)?)",
    re.I,
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def normalised(uri: str) -> str | None:
    """`uri` in the one form in which two are compared; None: it has a query, fragment or user, or is no http(s) URI.

    Scheme and host count in any case, a default port and one slash at the end do not count; a path is compared as it
    stands, since whoever decodes it once more than the next lets tokens pass for paths that they do not name.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return None
    scheme, host, port, path = match[1].lower(), match[2].lower(), match[3], match[4]
    named_port = "" if port is None or port == _DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host}{named_port}{path.removesuffix('/')}"

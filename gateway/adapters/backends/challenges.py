"""A backend's challenge ends here, also one in a body: a client that followed it would log in where the backend says.

Pure. In `_meta` the member goes; an error that holds a challenge keeps its code and says nothing else.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from gateway.model import Fault, Json, JsonObject

PLAIN: Final = "The backend refused this with a demand for other credentials, which this gateway does not pass on."
HEADER: Final = "wwwauthenticate"  # however it is written; clients read `_meta["mcp/www_authenticate"]`
METADATA: Final = "resourcemetadata"  # RFC 9728 section 5.1
_IN_TEXT: Final = re.compile(
    r"www[-_ ]?authenticate|resource_metadata\s*="
    # a scheme with one of its parameters: RFC 9110 11.6.1, RFC 6750 section 3, RFC 7616 3.3, RFC 9449 section 7.1
    r"|\b(?:bearer|dpop|basic|digest)\s+(?:(?:realm|scope|error|error_description|error_uri|algs|nonce|qop)\s*=|[\w-]+\s*=\s*\")",
    re.IGNORECASE,
)
_WORDS: Final = ("authenticate", "resource_metadata", "bearer", "dpop", "basic", "digest")  # one is in all that `_IN_TEXT` finds
LONG: Final = 64 * 1024  # characters of one text; the search takes 0.3 s for a million, and nobody reads such an error


def without_challenges(message: JsonObject, data: bytes) -> JsonObject:
    """`message`, decoded from `data`, less the challenges in any `_meta` of it, which are taken out in place."""
    if b"_meta" in data or b"\\u" in data:  # the name could be written in escapes; most messages are not walked
        _clean(message)
    return message


def bare(fault: Fault) -> Fault:
    """`fault` as it is, or without its words where they hold a challenge."""
    if any(_challenging(said) for said in (fault.message, *_words(fault.data))):
        return replace(fault, message=PLAIN, data=None)
    return fault


def _clean(value: Json) -> None:
    if isinstance(value, dict):
        meta = value.get("_meta")
        if isinstance(meta, dict):
            for name in [name for name in meta if _plain(name).endswith(HEADER)]:
                del meta[name]
        for each in value.values():
            _clean(each)
    elif isinstance(value, list):
        for each in value:
            _clean(each)


def _words(value: Json) -> Iterator[str]:
    """Every text in `value`; a member's name that is a challenge's own counts as one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            if _plain(name).endswith((HEADER, METADATA)):
                yield HEADER
            yield name
            yield from _words(each)
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)


def _challenging(text: str) -> bool:
    lower = text.lower()
    if not any(word in lower for word in _WORDS):
        return False
    return len(text) > LONG or _IN_TEXT.search(text) is not None


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")

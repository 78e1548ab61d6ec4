"""JSON of the wire: what was parsed is what is judged and what is sent on. Refuses what readers disagree about.

msgspec, not orjson: integers beyond 64 bits keep their value. The last of two equal keys counts, here and for everybody
behind, since nothing is ever forwarded but what was parsed.
"""

import re
from typing import Final

import msgspec

from gateway.errors import Kind, Refusal
from gateway.model import Json

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

# Possessive, and the closing quote may be missing: each byte is looked at once, whatever the body holds.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_OPEN, _CLOSE, _COMMA = b"[{", b"]}", b","
_KINDS: Final = bytes.maketrans(_OPEN + _CLOSE, b"[[]]")
_OTHERS: Final = bytes(set(range(256)) - set(_OPEN + _CLOSE))


def decode(data: bytes | memoryview) -> Json:
    """One JSON text in UTF-8. Raises `Refusal(PARSE)`: also for a BOM, UTF-16, NaN, Infinity and lone surrogates."""
    try:
        value: Json = _decode(data)
    except UnicodeDecodeError as error:
        raise Refusal(Kind.PARSE, "the body is not UTF-8") from error
    except RecursionError as error:
        raise Refusal(Kind.PARSE, "the body is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise Refusal(Kind.PARSE, f"the body is not JSON in UTF-8: {error}") from error
    return value


def encode(value: object) -> bytes:
    """Compact JSON. The value came from `decode` or was built here, so this cannot fail on foreign input."""
    return _encode(value)


def check_depth(body: bytes, limit: int) -> None:
    """Refuse nesting deeper than `limit` before anything is parsed, in time linear in the body. Raises `Refusal`."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    depth = 0
    for bracket in _STRINGS.sub(b"", body).translate(_KINDS, _OTHERS):
        if bracket == 0x5B:
            depth += 1
            if depth > limit:
                raise Refusal(Kind.INVALID_REQUEST, f"the body is nested deeper than {limit} levels", cause="too_deep")
        else:
            depth -= 1


def check_members(body: bytes, limit: int) -> None:
    """Refuse more than `limit` members in all: a few bytes each here cost a hundred times that once parsed. Raises `Refusal`.

    Counts what can begin a member, outside of strings: a comma or a bracket that opens.
    """
    if _members(body) > limit and _members(_STRINGS.sub(b"", body)) > limit:
        raise Refusal(Kind.TOO_LARGE, f"the body has more than {limit} members", cause="too_many_members")


def _members(text: bytes) -> int:
    return text.count(_COMMA) + text.count(b"[") + text.count(b"{")

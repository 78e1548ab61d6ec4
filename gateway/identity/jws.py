"""The outer form of a signed JWT (RFC 7515), read strictly: what two parsers could read in two ways is not read at all.

PyJWT checks the signature alone. It takes duplicate members, and payloads that are not encoded (RFC 7797).
"""

import base64
import json

import jwt
import msgspec
from jwt.api_jws import PyJWS

from gateway.identity.signing_keys import PublicKey
from gateway.model import Json, JsonObject

NOT_UNDERSTOOD = ("crit", "b64")  # `crit`: extensions that must be understood; `b64`: another way to read the payload
MISREAD = "it must be a signed JWT, with every member once and nothing in it that is not JSON"


LATEST_S = 2**53  # beyond it is no date; and an int of JSON has no end, which a float has


def header_and_claims(encoded: str) -> tuple[JsonObject, JsonObject]:
    """Raises `ValueError`; its text is ours and repeats nothing of what was sent."""
    parts = encoded.split(".")
    if len(parts) != 3:
        raise ValueError(MISREAD)
    header, claims = _members(parts[0]), _members(parts[1])
    if any(name in header for name in NOT_UNDERSTOOD):
        raise ValueError("it has a critical header that is not understood here")
    return header, claims


def signed(encoded: str, *, algorithm: str, key: PublicKey) -> bool:
    """Whether `key` has signed `encoded` with `algorithm`."""
    try:
        PyJWS(algorithms=[algorithm]).decode_complete(encoded, key, algorithms=[algorithm])
    except jwt.PyJWTError:
        return False
    return True


def _members(part: str) -> JsonObject:
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        msgspec.json.decode(decoded)  # strict: no NaN, no lone surrogate, no number that is none; but the last twin wins
        members = json.loads(decoded, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError(MISREAD) from error
    if not isinstance(members, dict):
        raise ValueError(MISREAD)
    return members


def _once(pairs: list[tuple[str, Json]]) -> JsonObject:
    """Members given twice are read one way by one parser and the other way by the next."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members

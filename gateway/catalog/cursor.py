"""Cursors that only we can make and only their owner can use: sealed with the method, the caller and the surface.

A page is decided anew whoever asks; the seal is there so that a backend's cursor is never seen and never replayed.
"""

import base64
import hashlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import Kind, Refusal

NONCE_BYTES = 12
MAX_CHARS = 64 * 1024


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on: behind an item of our own order, or on a backend's page."""

    method: str
    caller_key: str
    surface: str
    expires_s: float
    last: str | None = None  # public name of the last item shown
    backend_index: int = 0
    upstream: str | None = None  # that backend's own cursor


def seal(cursor: Cursor, key: bytes, nonce: bytes) -> str:
    """`key` of 16 or 32 bytes, `nonce` fresh for every cursor. Raises `Refusal(BACKEND_FAILED)` when it would be too long."""
    sealed = AESGCM(key).encrypt(nonce, msgspec.json.encode(cursor), _bound(cursor.method, cursor.caller_key, cursor.surface))
    text = base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()
    if len(text) > MAX_CHARS:  # one that `open` would refuse is not handed out
        raise Refusal(Kind.BACKEND_FAILED, "a backend's cursor is too long, so its list cannot go on", cause="cursor")
    return text


def open(text: str, key: bytes, *, method: str, caller_key: str, surface: str, now_s: float) -> Cursor:
    """Raises `Refusal(INVALID_PARAMS)`, the same for a foreign, an altered and an expired one."""
    if len(text) > MAX_CHARS:
        raise _invalid()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        plain = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(method, caller_key, surface))
        cursor = msgspec.json.decode(plain, type=Cursor)
    except (ValueError, InvalidTag, msgspec.DecodeError) as error:
        raise _invalid() from error
    if now_s >= cursor.expires_s:
        raise _invalid()
    return cursor


def _bound(method: str, caller_key: str, surface: str) -> bytes:
    return hashlib.sha256(msgspec.json.encode((method, surface, caller_key))).digest()


def _invalid() -> Refusal:
    return Refusal(Kind.INVALID_PARAMS, "cursor: not one of this list, or too old; start again without a cursor")

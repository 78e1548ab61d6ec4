"""API keys: `mgw_<id>_<secret>`. Only the SHA-256 of the secret is kept, and it is compared in constant time.

A plain hash is right here: the secret is 256 random bits, so there is nothing for a slow hash to protect, and scrypt
would let strangers spend our CPU. Secrets too short to be such are never accepted, whatever their hash.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.identity.grant import KEYS_ISSUER, Grant, NamesUsers, Rejected
from gateway.model import Caller, Identity, Subject

PREFIX = "mgw_"
SECRET_BYTES = 32
MIN_SECRET_CHARS = 32  # 192 bits of base64url, 128 of hex

_KEY = re.compile(rf"{PREFIX}([A-Za-z0-9]{{1,32}})_([A-Za-z0-9_\-.~+/=]{{{MIN_SECRET_CHARS},256}})")
_NOBODY = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. Two keys of one subject may be valid at once, which is how they are rotated."""

    id: str
    sha256: bytes = field(repr=False)  # of the secret
    subject_id: str
    type: Literal["user", "workload"] = "workload"
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    surfaces: frozenset[str] | None = None
    expires_at_s: float | None = None
    names_users: NamesUsers | None = None

    def __post_init__(self) -> None:
        if len(self.sha256) != hashlib.sha256().digest_size:
            raise ValueError(f"API key {self.id}: sha256 must be 32 bytes")
        if self.type == "user" and self.names_users is not None:
            raise ValueError(f"API key {self.id}: only a workload may be trusted to name users")


def by_id(keys: Iterable[ApiKey]) -> Mapping[str, ApiKey]:
    """The keys by their ids. Raises `ValueError` when two share one."""
    found: dict[str, ApiKey] = {}
    for key in keys:
        if key.id in found:
            raise ValueError(f"two API keys have the id {key.id}")
        found[key.id] = key
    return found


def recognises(token: str) -> bool:
    return token.startswith(PREFIX)


def verified(token: str, keys: Mapping[str, ApiKey], *, now_s: float) -> Grant:
    """What the key grants. Raises `Rejected`, the same for an unknown id as for a wrong secret."""
    match = _KEY.fullmatch(token)
    if match is None:
        raise Rejected("malformed", "This is not an API key of this gateway: it must read mgw_<id>_<secret>.")
    key = keys.get(match[1])
    expected = _NOBODY if key is None else key.sha256
    same = hmac.compare_digest(hashlib.sha256(match[2].encode()).digest(), expected)
    if key is None or not same:
        raise Rejected("unknown_key", "This API key is not known here, or was revoked.")
    if key.expires_at_s is not None and now_s >= key.expires_at_s:
        raise Rejected("expired", "This API key has expired.")
    subject = Subject(
        type=key.type,
        identity=Identity(KEYS_ISSUER, key.subject_id),
        authentication="api_key",
        groups=key.groups,
        scopes=key.scopes,
    )
    agent_id = key.subject_id if key.type == "workload" else None
    return Grant(subject, agent_id, key.surfaces, key.expires_at_s, key.names_users, credential=f"key:{key.id}")


def still_good(caller: Caller, surface: str, keys: Mapping[str, ApiKey], *, now_s: float) -> bool:
    """Whether one of `keys` still speaks for `caller` on `surface`, its end apart unless that was brought forward."""
    key = keys.get(caller.credential.removeprefix("key:"))
    if key is None or not caller.credential.startswith("key:"):
        return False
    ended = key.expires_at_s is not None and key.expires_at_s != caller.expires_at_s and now_s >= key.expires_at_s
    return not ended and (key.surfaces is None or surface in key.surfaces)


def issued(id: str, entropy: bytes) -> tuple[str, str]:
    """A new key made of 32 random bytes: the token, to be shown once, and the hex SHA-256 to be kept."""
    if len(entropy) != SECRET_BYTES:
        raise ValueError(f"an API key is made of {SECRET_BYTES} random bytes")
    secret = base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()
    token = f"{PREFIX}{id}_{secret}"
    match = _KEY.fullmatch(token)
    if match is None or match[1] != id:  # `a_b` would be read as the key `a`
        raise ValueError("an API key's id is 1 to 32 letters and digits")
    return token, hashlib.sha256(secret.encode()).hexdigest()

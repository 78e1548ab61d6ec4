"""The key file: a line of JSON for each key that was ever made; of its secret the hash, and of a revoked one not even that.

A revoked key keeps its line, so that its id never names another key: what audit and facts say of `ci` stays true.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.identity.api_keys import ApiKey
from gateway.identity.grant import NamesUsers

MAX_KEYS = 10_000  # tombstones included; a file of them has some 3 MB

State = Literal["active", "expired", "revoked"]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Instant = Annotated[datetime, Meta(tz=True)]


class KeyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One line. Its times are RFC 3339 with a zone."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,32}\Z")]
    subject: Name
    created: Instant
    owner: Annotated[str, Meta(max_length=256)] = ""  # whom to ask about it; says nothing to policies
    type: Literal["user", "workload"] = "workload"
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None  # None: revoked
    expires: Instant | None = None
    revoked: Instant | None = None
    surfaces: tuple[Name, ...] | None = None  # None: every one
    groups: tuple[Name, ...] = ()
    scopes: tuple[Name, ...] = ()
    names_users: bool = False
    user_groups: tuple[Name, ...] = ()
    user_issuer: Name | None = None

    def __post_init__(self) -> None:
        if (self.sha256 is None) == (self.revoked is None):
            raise ValueError("a key has a `sha256` until it is `revoked`, and then no more")
        if self.type == "user" and self.names_users:
            raise ValueError("only a workload may be trusted to name users")
        if not _plain(self.subject) or not _plain(self.owner):
            raise ValueError("`subject` and `owner` are printable text")
        if self.names_users:
            _names_users(self)  # a reserved issuer is told here, not at the first request


class BadKeyFile(Exception):
    """The text is no key file. The message names the line, and nothing that stands on it but an id."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one state of the file has that another has not, by the keys' ids."""

    added: tuple[str, ...]
    revoked: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]  # the line itself is gone: somebody edited the file

    def members(self) -> dict[str, tuple[str, ...]]:
        """What there is to tell."""
        said = {"added": self.added, "revoked": self.revoked, "changed": self.changed, "removed": self.removed}
        return {name: ids for name, ids in said.items() if ids}


def read(text: str) -> tuple[KeyRecord, ...]:
    """The keys in `text`, revoked ones included. Raises `BadKeyFile`."""
    records: dict[str, KeyRecord] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if len(records) == MAX_KEYS:
            raise BadKeyFile(f"line {number}: more than {MAX_KEYS} keys")
        try:
            record = msgspec.convert(json.loads(line, object_pairs_hook=_once), KeyRecord)
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            raise BadKeyFile(f"line {number}: not a key: {_why(error)}") from error
        if record.id in records:
            raise BadKeyFile(f"line {number}: a second key with the id {record.id}")
        records[record.id] = record
    return tuple(records.values())


def text(records: Iterable[KeyRecord]) -> str:
    """The file that `read` reads as `records`."""
    return "".join(msgspec.json.encode(record).decode() + "\n" for record in records)


def standing(records: Iterable[KeyRecord]) -> tuple[ApiKey, ...]:
    """The keys that are not revoked. An expired one is among them, so that its holder is told of it."""
    return tuple(_api_key(record) for record in records if record.sha256 is not None)


def state(record: KeyRecord, *, now: datetime) -> State:
    if record.revoked is not None:
        return "revoked"
    return "expired" if record.expires is not None and now >= record.expires else "active"


def tombstone(record: KeyRecord, *, now: datetime) -> KeyRecord:
    """The key's line once it is revoked: whose it was, and nothing by which it could count again."""
    return KeyRecord(
        id=record.id,
        subject=record.subject,
        created=record.created,
        owner=record.owner,
        type=record.type,
        expires=record.expires,
        revoked=now.astimezone(UTC).replace(microsecond=0),
        surfaces=record.surfaces,
    )


def difference(before: Iterable[KeyRecord], after: Iterable[KeyRecord]) -> Difference:
    old, new = {each.id: each for each in before}, {each.id: each for each in after}
    revoked = tuple(id for id, each in new.items() if each.revoked is not None and id in old and old[id].revoked is None)
    return Difference(
        added=tuple(id for id in new if id not in old),
        revoked=revoked,
        changed=tuple(id for id in new if id in old and new[id] != old[id] and id not in revoked),
        removed=tuple(id for id in old if id not in new),
    )


def _api_key(record: KeyRecord) -> ApiKey:
    assert record.sha256 is not None
    return ApiKey(
        id=record.id,
        sha256=bytes.fromhex(record.sha256),
        subject_id=record.subject,
        type=record.type,
        groups=record.groups,
        scopes=record.scopes,
        surfaces=None if record.surfaces is None else frozenset(record.surfaces),
        expires_at_s=None if record.expires is None else record.expires.timestamp(),
        names_users=_names_users(record) if record.names_users else None,
    )


def _names_users(record: KeyRecord) -> NamesUsers:
    return NamesUsers.by(record.subject, record.user_issuer, record.user_groups)


def _plain(words: str) -> bool:
    return words.isprintable() and words == words.strip()


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "not JSON"  # its message would repeat the line
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)

"""`mcp-gateway keys`: makes, lists and revokes API keys. A token is shown once, when it is made; only its hash is kept."""

import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import yaml

from gateway.adapters.key_file import KeyFileFailed, Records, edit, load
from gateway.identity.api_keys import SECRET_BYTES, issued
from gateway.identity.key_file import BadKeyFile, KeyRecord, state, tombstone
from gateway.identity.key_file import read as read_key_file
from gateway.settings.load import SettingsError
from gateway.settings.load import load as load_settings
from gateway.settings.model import Settings

DEFAULT_SETTINGS = Path("gateway.yaml")
NO_FILE = "the settings name no key file: set identity.key_file, or name the file with --file"
UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

keys = typer.Typer(no_args_is_help=True, help="API keys of workloads.\n\nExample: mcp-gateway keys create ci")

SettingsOption = Annotated[
    Path | None, typer.Option("--settings", "-s", envvar="MCP_GATEWAY_SETTINGS", help="settings whose identity.key_file is meant")
]
FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", help="the key file itself, instead of the one the settings name")
]
Id = Annotated[str, typer.Argument(help="letters and digits that name the key")]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for a machine")]


class _Refused(Exception):
    """What was asked for cannot be: the message says why. Nothing was written."""


FAILURES = (_Refused, ValueError, SettingsError, KeyFileFailed)


@keys.command("create")
def create_key(  # noqa: PLR0913, PLR0917 — one parameter for each option
    id: Id,
    subject: Annotated[str | None, typer.Option("--subject", help="who the key is; default: its id")] = None,
    type: Annotated[str, typer.Option("--type", help="workload, or user for a person's key")] = "workload",
    owner: Annotated[str, typer.Option("--owner", help="who answers for it; policies do not see this")] = "",
    expires: Annotated[str | None, typer.Option("--expires", help="90d, 12h, or a time such as 2030-01-31T00:00:00Z")] = None,
    surface: Annotated[list[str] | None, typer.Option("--surface", help="good for this surface only (may be repeated)")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="a group of the subject (may be repeated)")] = None,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="a scope of the subject (may be repeated)")] = None,
    names_users: Annotated[bool, typer.Option("--names-users", help="trusted to name its end user in a header")] = False,
    user_group: Annotated[list[str] | None, typer.Option("--user-group", help="a group of the users that it names")] = None,
    user_issuer: Annotated[str | None, typer.Option("--user-issuer", help="issuer of the users that it names")] = None,
    settings: SettingsOption = None,
    file: FileOption = None,
    as_json: Json = False,
) -> None:
    """Make an API key: its token is shown once, and never again; only its hash is kept.

    It goes into the key file that the settings name. Where there is none, its entry for the settings goes to standard
    output. The token goes to standard error, so that the one can be kept without the other.

    Example: mcp-gateway keys create ci --owner ada@example.com --expires 90d --surface engineering
    """
    now = _now()
    try:
        token, digest = issued(id, secrets.token_bytes(SECRET_BYTES))
        written = {
            "id": id,
            "subject": subject or id,
            "type": type,
            "owner": owner,
            "created": now.isoformat(),
            "sha256": digest,
            **({} if expires is None else {"expires": _until(expires, now).isoformat()}),
            **({} if surface is None else {"surfaces": surface}),
            "groups": group or [],
            "scopes": scope or [],
            "names_users": names_users,
            "user_groups": user_group or [],
            **({} if user_issuer is None else {"user_issuer": user_issuer}),
        }
        if type not in {"workload", "user"}:
            raise _Refused("--type must be `workload` or `user`")
        record = _read(written)
        known = _settings(settings) if file is None else None
        place = file or (known.identity.key_file if known is not None else None)
        if place is None and settings is not None:
            raise _Refused(NO_FILE)
        if place is not None:
            edit(place, lambda records: _added(records, record, known))
    except FAILURES as error:
        raise _failed(error) from error
    if place is None:
        _show_entry(token, written, as_json=as_json)
    else:
        _show(token, record, place, as_json=as_json)


@keys.command("rotate")
def rotate_key(
    id: Id,
    successor: Annotated[str, typer.Argument(help="letters and digits that name the key that follows it")],
    overlap: Annotated[str, typer.Option("--overlap", help="how long the old one still counts: 7d, 12h, or a time")] = "7d",
    expires: Annotated[
        str | None, typer.Option("--expires", help="when the new one ends; default: as long as the old one was made for")
    ] = None,
    settings: SettingsOption = None,
    file: FileOption = None,
    as_json: Json = False,
) -> None:
    """Make a second key for the same subject, with the same rights, and let the first one end after a while.

    Both count until then: deploy the new token, watch that the old one is used no more, and nothing ever fails.

    Example: mcp-gateway keys rotate ci ci2 --overlap 7d --expires 90d
    """
    now = _now()
    made: list[KeyRecord] = []

    def rotated(records: Records) -> Records:
        old = _standing(records, id, now)
        end = _until(overlap, now)
        ending = msgspec.structs.replace(old, expires=end if old.expires is None else min(end, old.expires))
        as_long = None if old.expires is None or old.created is None else now + (old.expires - old.created)
        fresh = msgspec.structs.replace(
            old, id=successor, sha256=digest, created=now, expires=as_long if expires is None else _until(expires, now)
        )
        made.append(fresh)
        return _added(tuple(ending if each.id == id else each for each in records), fresh, known)

    try:
        token, digest = issued(successor, secrets.token_bytes(SECRET_BYTES))
        place, known = _place(settings, file)
        edit(place, rotated)
    except FAILURES as error:
        raise _failed(error) from error
    _show(token, made[0], place, as_json=as_json)


@keys.command("list")
def list_keys(settings: SettingsOption = None, file: FileOption = None, as_json: Json = False) -> None:
    """Every key of the key file: whose it is, what it opens, and whether it still counts.

    Example: mcp-gateway keys list --settings gateway.yaml
    """
    now = _now()
    try:
        place, _ = _place(settings, file)
        records = load(place).records
    except FAILURES as error:
        raise _failed(error) from error
    rows = [{**_public(record), "state": state(record, now=now)} for record in records]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    shown = [("ID", "STATE", "SUBJECT", "OWNER", "EXPIRES", "SURFACES")]
    shown += [
        (
            record.id,
            state(record, now=now),
            record.subject,
            record.owner or "-",
            "never" if record.expires is None else f"{record.expires:%Y-%m-%dT%H:%MZ}",
            "all" if record.surfaces is None else ",".join(record.surfaces) or "none",
        )
        for record in records
    ]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        typer.echo("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


@keys.command("revoke")
def revoke_key(id: Id, settings: SettingsOption = None, file: FileOption = None) -> None:
    """End a key for good: a running gateway refuses it within a second, and its id never names another key.

    Example: mcp-gateway keys revoke ci --settings gateway.yaml
    """
    now = _now()

    def revoked(records: Records) -> Records:
        record = _standing(records, id, now)
        return tuple(tombstone(each, now=now) if each is record else each for each in records)

    try:
        place, _ = _place(settings, file)
        edit(place, revoked)
    except FAILURES as error:
        raise _failed(error) from error
    typer.echo(f"revoked: {id}")


def _settings(path: Path | None) -> Settings | None:
    """The settings named; without a name those of this folder, if there are any that can be read."""
    if path is not None:
        return load_settings(path)
    try:
        return load_settings(DEFAULT_SETTINGS)
    except SettingsError:
        return None


def _place(settings: Path | None, file: Path | None) -> tuple[Path, Settings | None]:
    """The key file that is meant. Raises `_Refused` or `SettingsError`."""
    if file is not None:
        return file, None
    known = load_settings(settings or DEFAULT_SETTINGS)
    if known.identity.key_file is None:
        raise _Refused(NO_FILE)
    return known.identity.key_file, known


def _added(records: Records, record: KeyRecord, known: Settings | None) -> Records:
    """Raises `_Refused`."""
    if any(each.id == record.id for each in records):
        raise _Refused(f"there is a key with the id {record.id}, or there was one: an id is never used again")
    if known is not None:
        if any(each.id == record.id for each in known.identity.api_keys):
            raise _Refused(f"identity.api_keys has a key with the id {record.id}")
        unknown = sorted(set(record.surfaces or ()) - set(known.surfaces))
        if unknown:
            raise _Refused(f"no such surface in the settings: {', '.join(unknown)}")
    return (*records, record)


def _standing(records: Records, id: str, now: datetime) -> KeyRecord:
    """The key with this id, unless it has ended. Raises `_Refused`."""
    for record in records:
        if record.id == id:
            if record.revoked is not None:
                raise _Refused(f"the key {id} was revoked at {record.revoked:%Y-%m-%dT%H:%M:%SZ}")
            return record
    raise _Refused(f"no key with the id {id} in the key file")


def _until(said: str, now: datetime) -> datetime:
    """A time to come, said as one or as a distance from now. Raises `_Refused`."""
    distance = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", said)
    if distance is not None:
        return now + timedelta(seconds=int(distance[1]) * UNITS[distance[2]])
    try:
        time = datetime.fromisoformat(said)
    except ValueError:
        time = now.replace(tzinfo=None)
    if time.tzinfo is None:
        raise _Refused("a time is said as 90d, 12h, 30m or 2w from now, or with its zone: 2030-01-31T00:00:00Z")
    try:
        time = time.astimezone(UTC)
    except OverflowError:
        raise _Refused("this time is too far away") from None
    if time <= now:
        raise _Refused("this time has passed")
    return time


def _read(written: dict[str, object]) -> KeyRecord:
    """The key as its line would be read again. Raises `_Refused`."""
    try:
        (record,) = read_key_file(json.dumps(written))
    except BadKeyFile as error:
        raise _Refused(str(error).removeprefix("line 1: not a key: ")) from error
    return record


def _show_entry(token: str, written: dict[str, object], *, as_json: bool) -> None:
    """The key as the settings hold it: only what was asked for."""
    always = ("id", "sha256", "subject")
    rest = {name: said for name, said in written.items() if said and name not in {*always, "created"}}
    if rest["type"] == "workload":
        del rest["type"]
    entry = {"identity": {"api_keys": [{**{name: written[name] for name in always}, **rest}]}}
    if as_json:
        typer.echo(json.dumps({"token": token, "settings": entry}))
        return
    typer.echo(yaml.safe_dump(entry, sort_keys=False), nl=False)
    typer.echo(f"token, shown only now: {token}", err=True)


def _show(token: str, record: KeyRecord, place: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"token": token, "file": str(place), "key": _public(record)}))
        return
    typer.echo(f"written to {place}: {record.id}")
    typer.echo(f"token, shown only now: {token}", err=True)


def _public(record: KeyRecord) -> dict[str, object]:
    """What may be shown of a key: all but the hash."""
    members: dict[str, object] = msgspec.to_builtins(record)
    members.pop("sha256", None)
    return members


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _failed(error: Exception) -> typer.Exit:
    """1: it did not work; 2: it was asked wrongly."""
    typer.echo(str(error), err=True)
    return typer.Exit(1 if isinstance(error, KeyFileFailed) else 2)

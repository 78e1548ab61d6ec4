"""`mcp-gateway catalog`: what the backends offer, against what was reviewed of it.

Exit code 0: fine; 1: something changed since review; 2: asked wrongly, or a backend could not be asked.
"""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway.lifecycle.catalog import accepting, exporting, labels, reviewed, telling
from gateway.lifecycle.catalog.comparing import compared
from gateway.lifecycle.catalog.names import Key
from gateway.lifecycle.catalog.offered import CatalogFailed, Live, live
from gateway.lifecycle.catalog.reviewed import Places, Reviewed
from gateway.lifecycle.catalog.words import visible
from gateway.lifecycle.printing import inert
from gateway.settings.load import SettingsError, load
from gateway.settings.model import Settings

catalog = typer.Typer(no_args_is_help=True, help="What the backends offer.\n\nExample: mcp-gateway catalog diff --backend crm")

SettingsFile = Annotated[Path, typer.Option("--settings", "-s", envvar="MCP_GATEWAY_SETTINGS", help="the settings file")]
Backends = Annotated[list[str] | None, typer.Option("--backend", "-b", help="only this backend (may be repeated)")]
Items = Annotated[
    list[str] | None, typer.Option("--item", "-i", help="only the item with this id, such as crm__search (may be repeated)")
]
Folder = Annotated[
    Path | None, typer.Option("--catalog", help="folder of the reviewed definitions; default: `catalog` beside the policies'")
]
Facts = Annotated[
    Path | None,
    typer.Option("--facts", help="folder of the facts; default: the settings'; needed where they decide from a bundle"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for a machine")]


class Format(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@catalog.command("export")
def export_command(
    into: Annotated[Path, typer.Option("--into", "-o", help="a folder of its own; an earlier export in it is replaced")],
    settings: SettingsFile = Path("gateway.yaml"),
    backend: Backends = None,
    folder: Folder = None,
    facts: Facts = None,
    as_json: Json = False,
) -> None:
    """Write what the backends offer now as files: definitions, schemas for `opa check`, and a list with the state of review.

    It accepts nothing. The gateway asks with its own credential: of a backend that lists for each subject this is its own view.

    Example: mcp-gateway catalog export --settings gateway.yaml --into offered
    """
    try:
        seen = _seen(settings, backend, folder, facts)
        known = labels.labelled(seen.where.labels)
        count = exporting.export(into, seen.settings.policy.schemas, seen.before, seen.now, known)
    except (SettingsError, CatalogFailed, OSError) as error:
        raise _failed(error) from error
    for note in seen.notes:
        typer.echo(visible(note), err=True)
    if as_json:
        typer.echo(json.dumps({"into": str(into), "items": len(seen.now.offers), "files": count, "notes": seen.notes}))
        return
    typer.echo(f"{len(seen.now.offers)} items in {count} files written to {into}")


@catalog.command("diff")
def diff_command(  # noqa: PLR0913, PLR0917 — an argument for each option
    settings: SettingsFile = Path("gateway.yaml"),
    backend: Backends = None,
    item: Items = None,
    folder: Folder = None,
    facts: Facts = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="text, markdown for a pull request, or json")] = Format.TEXT,
    suggest_labels: Annotated[
        bool, typer.Option("--suggest-labels", help="propose labels for tools that have none, from what the backends say")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what the backends changed since review: texts word by word, arguments, hints, and what to look at twice.

    Exit code 1: something changed. It writes nothing; `catalog pin` accepts.

    Example: mcp-gateway catalog diff --settings gateway.yaml --backend crm --format markdown
    """
    try:
        seen = _seen(settings, backend, folder, facts)
        changes = compared(seen.before, seen.now, accepting.choice(item or (), seen.before, seen.now), seen.others)
        known = labels.labelled(seen.where.labels) if suggest_labels else {}
    except (SettingsError, CatalogFailed, OSError) as error:
        raise _failed(error) from error
    mark = accepting.seen(seen.now)
    proposed = list(labels.suggested(seen.now.offers.values(), known)) if suggest_labels else []
    if as_json or format is Format.JSON:
        told = {"changes": [each.members() for each in changes], "seen": mark, "notes": seen.notes}
        typer.echo(json.dumps({**told, "labels": proposed} if suggest_labels else told))
    else:
        command = ["mcp-gateway", "catalog", "pin", "--settings", str(settings)]
        command += [word for each in backend or () for word in ("--backend", each)]
        command += [word for each in item or () for word in ("--item", each)]
        command += ["--facts", str(facts)] if facts is not None else []
        accept = shlex.join([*command, "--seen", mark])
        for line in (telling.plain if format is Format.TEXT else telling.markdown)(changes, accept, seen.notes):
            typer.echo(inert(line))
        for line in proposed:
            typer.echo(inert(line))
    if changes:
        raise typer.Exit(1)


@catalog.command("pin")
def pin_command(
    settings: SettingsFile = Path("gateway.yaml"),
    backend: Backends = None,
    item: Items = None,
    mark: Annotated[
        str | None, typer.Option("--seen", help="only if the backends offer just what `catalog diff` showed under this mark")
    ] = None,
    folder: Folder = None,
    facts: Facts = None,
    as_json: Json = False,
) -> None:
    """Accept what the backends offer now: write its definitions, its schemas, and its fingerprints into the policies' facts.

    Until then the shipped policy hides new and changed items from all but reviewers. It never asks: read `catalog diff` first.

    Example: mcp-gateway catalog pin --settings gateway.yaml --backend crm
    """
    try:
        seen = _seen(settings, backend, folder, facts)
        if mark is not None and accepting.seen(seen.now) != mark:
            raise CatalogFailed("the backends offer something else than was seen, so nothing was written: see catalog diff")
        chosen = accepting.choice(item or (), seen.before, seen.now)
        bare = len(labels.unlabelled(seen.now.offers.values(), labels.labelled(seen.where.labels)))
        changes = accepting.accept(seen.where, seen.before, seen.now, chosen)
    except (SettingsError, CatalogFailed, OSError) as error:
        raise _failed(error) from error
    for note in seen.notes:
        typer.echo(visible(note), err=True)
    if as_json:
        typer.echo(json.dumps([change.members() for change in changes]))
        return
    for change in changes:
        typer.echo(f"{change.what:9} {change.key.backend} {change.key.type} {visible(change.key.name)}")
    where = seen.where
    typer.echo(f"{len(changes)} changes written to {where.pins}, {where.catalog} and {where.schemas}")
    if bare:
        several = f"{bare} tools have" if bare > 1 else "one tool has"
        typer.echo(f"{several} no label: calls are refused as destructive until {where.labels} has one.")
        typer.echo(f"Proposals: mcp-gateway catalog diff --suggest-labels --settings {shlex.quote(str(settings))}")


@dataclass(frozen=True, slots=True)
class _Seen:
    """Both sides: what was reviewed, and what is offered now."""

    settings: Settings
    where: Places
    before: Reviewed
    now: Live
    others: Iterable[Key]  # of all backends, so that what speaks of them is noticed

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.before.notes, *self.now.notes)


def _seen(path: Path, backend: list[str] | None, catalog: Path | None, facts: Path | None) -> _Seen:
    """Raises `SettingsError` whose every line names the file, `CatalogFailed` or `OSError`."""
    read = load(path)
    backends = tuple(dict.fromkeys(backend or read.backends))
    where = reviewed.places(read, catalog, facts)
    before = reviewed.read(where, backends)
    try:
        return _Seen(read, where, before, uvloop.run(live(read, backends)), reviewed.read_pins(where.pins))
    except SettingsError as error:
        raise SettingsError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error


def _failed(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(2)

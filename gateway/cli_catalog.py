"""`mcp-gateway catalog`: what the backends offer, against what was reviewed of it.

Exit code 0: fine; 1: something changed since review; 2: asked wrongly, or a backend could not be asked.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway.catalog.names import split_name, split_uri
from gateway.lifecycle.catalog import accepting, reviewed
from gateway.lifecycle.catalog.offered import CatalogFailed, Live, live
from gateway.settings.load import SettingsError, load
from gateway.settings.model import Settings

catalog = typer.Typer(no_args_is_help=True, help="What the backends offer.\n\nExample: mcp-gateway catalog pin --backend crm")

SettingsFile = Annotated[Path, typer.Option("--settings", "-s", envvar="MCP_GATEWAY_SETTINGS", help="the settings file")]
Backends = Annotated[list[str] | None, typer.Option("--backend", "-b", help="only this backend (may be repeated)")]
Folder = Annotated[
    Path | None, typer.Option("--catalog", help="folder of the reviewed definitions; default: `catalog` beside the policies'")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for a machine")]


@catalog.command("pin")
def pin_command(
    settings: SettingsFile = Path("gateway.yaml"),
    backend: Backends = None,
    item: Annotated[
        list[str] | None, typer.Option("--item", "-i", help="only the item with this id, such as crm__search (may be repeated)")
    ] = None,
    seen: Annotated[
        str | None, typer.Option("--seen", help="only if the backends offer just what `catalog diff` showed under this mark")
    ] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Accept what the backends offer now: write its definitions, its schemas, and its fingerprints into the policies' facts.

    Until then the shipped policy hides new and changed items from all but reviewers. It never asks: read `catalog diff` first.

    Example: mcp-gateway catalog pin --settings gateway.yaml --backend crm
    """
    try:
        read = load(settings)
        backends = _meant(read, backend, item)
        where = reviewed.places(read, folder)
        before = reviewed.read(where, backends)
        now = _live(settings, read, backends)
        if seen is not None and accepting.seen(now) != seen:
            raise CatalogFailed("the backends offer something else than was seen, so nothing was written: see catalog diff")
        changes = accepting.accept(where, before, now, accepting.choice(item or (), before, now))
    except (SettingsError, CatalogFailed, OSError) as error:
        raise _failed(error) from error
    for note in (*before.notes, *now.notes):
        typer.echo(note, err=True)
    if as_json:
        typer.echo(json.dumps([change.members() for change in changes]))
        return
    for change in changes:
        typer.echo(f"{change.what:9} {change.key.backend} {change.key.type} {change.key.name}")
    typer.echo(f"{len(changes)} changes written to {where.pins}, {where.catalog} and {where.schemas}")


def _meant(settings: Settings, backends: list[str] | None, items: list[str] | None) -> tuple[str, ...]:
    """The backends named, or those of the items named, or all."""
    if backends or not items:
        return tuple(dict.fromkeys(backends or settings.backends))
    places = [split_name(item) or split_uri(item) for item in items]
    return tuple(dict.fromkeys(place[0] for place in places if place is not None)) or tuple(settings.backends)


def _live(path: Path, settings: Settings, backends: tuple[str, ...]) -> Live:
    """Raises `SettingsError` whose every line names the file, or `CatalogFailed`."""
    try:
        return uvloop.run(live(settings, backends))
    except SettingsError as error:
        raise SettingsError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error


def _failed(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(2)

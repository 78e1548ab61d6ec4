"""`catalog export`: what the backends offer now, as the same files that a review writes, in a folder of its own.

Nothing in it is reviewed. Its `schemas` folder is whole: what the backends do not say is copied from the policies', so that
`opa check --schema` with it tells which rules a change of a backend would break, before anybody accepts it.
"""

from collections.abc import Mapping
from pathlib import Path

from gateway.lifecycle.catalog.accepting import files, replace
from gateway.lifecycle.catalog.names import Key
from gateway.lifecycle.catalog.offered import CatalogFailed, Live
from gateway.lifecycle.catalog.reviewed import Places, Reviewed, written
from gateway.model import Json, JsonObject

MARK = "items.json"
OWN = frozenset({MARK, "catalog", "schemas"})


def export(into: Path, schemas: Path, before: Reviewed, now: Live, labels: Mapping[Key, tuple[str, ...]]) -> int:
    """Write everything; how many files there are. Raises `CatalogFailed` or `OSError`; an earlier export is replaced."""
    stale = _earlier(into)
    for source in (schemas, schemas.parent / "catalog"):
        if source.resolve().is_relative_to(into.resolve()):
            raise CatalogFailed(f"{into}: holds what was reviewed, so nothing was written; name a folder of its own")
    places = Places(into / MARK, into / "catalog", into / "schemas")
    definitions = {key: offer.definition for key, offer in now.offers.items()}
    wanted = {**_copied(schemas, places.schemas, now), **files(places, (), definitions)}
    told: list[Json] = [_item(key, before, now, labels) for key in sorted(now.offers)]
    whole: dict[Path, bytes | None] = {path: None for path in stale if path not in wanted}
    replace({**whole, **wanted, places.pins: written({"items": told})})
    return len(wanted) + 1


def _earlier(into: Path) -> list[Path]:
    """The files of an earlier export. Anything else in the folder is somebody's, and the folder not for this."""
    if not into.exists():
        return []
    there = sorted(into.iterdir())
    if there and (not (into / MARK).is_file() or any(each.name not in OWN for each in there)):
        raise CatalogFailed(f"{into}: is not empty and no earlier export, so nothing was written")
    return [path for path in into.rglob("*") if path.is_file() or path.is_symlink()]


def _copied(schemas: Path, into: Path, now: Live) -> dict[Path, bytes | None]:
    """The policies' schemas, but for those of the backends that were asked."""
    asked = {key.backend for key in now.offers}
    found: dict[Path, bytes | None] = {}
    for path in schemas.rglob("*.json") if schemas.is_dir() else ():
        place = path.relative_to(schemas)
        if not (place.parts[0] in {"tools", "results"} and len(place.parts) > 1 and place.parts[1] in asked):
            found[into / place] = path.read_bytes()
    return found


def _item(key: Key, before: Reviewed, now: Live, labels: Mapping[Key, tuple[str, ...]]) -> JsonObject:
    offer, pin = now.offers[key], before.pins.get(key)
    review = "new" if pin is None else "reviewed" if pin == offer.fingerprint else "changed"
    told: JsonObject = {"backend": key.backend, "type": key.type, "name": key.name, "id": key.id}
    told |= {"fingerprint": offer.fingerprint, "review": review}
    if key in labels:
        told["labels"] = list[Json](labels[key])
    return told

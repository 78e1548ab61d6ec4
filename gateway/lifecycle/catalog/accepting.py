"""`catalog pin`: a reviewer's word that definitions are good as they are now, written where rules and reviewers read it.

Definitions, schemas and pins are written together: all unfinished beside their places first, then moved into them, the pins
last. So whatever stops it on the way, nothing is accepted whose definition is not there to be read.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.lifecycle.catalog import reviewed
from gateway.lifecycle.catalog.digestible import digestible
from gateway.lifecycle.catalog.names import Key, arguments_path, definition_path, result_path
from gateway.lifecycle.catalog.offered import CatalogFailed, Live
from gateway.lifecycle.catalog.reviewed import Places, Reviewed, written
from gateway.model import JsonObject

Files = Mapping[Path, bytes | None]  # None: it goes


@dataclass(frozen=True, slots=True)
class Accepted:
    what: Literal["new", "changed", "gone"]
    key: Key

    def members(self) -> dict[str, str]:
        return {"change": self.what, "backend": self.key.backend, "type": self.key.type, "name": self.key.name}


def seen(live: Live) -> str:
    """Names what the backends offer, so that exactly that can be accepted later and nothing that came since."""
    whole = hashlib.sha256()
    for key in sorted(live.offers):
        line = f"{key.backend}\0{key.type}\0{key.name}\0{live.offers[key].fingerprint}"
        whole.update(hashlib.sha256(line.encode()).digest())
    return f"sha256:{whole.hexdigest()[:32]}"


def changes(before: Reviewed, now: Live) -> tuple[Accepted, ...]:
    """What is offered otherwise than it was pinned, by backend, type and name."""
    found = []
    for key in sorted({*before.pins, *now.offers}):
        pin, offer = before.pins.get(key), now.offers.get(key)
        if offer is None:
            found.append(Accepted("gone", key))
        elif pin is None:
            found.append(Accepted("new", key))
        elif pin != offer.fingerprint:
            found.append(Accepted("changed", key))
    return tuple(found)


def accept(where: Places, before: Reviewed, now: Live, chosen: Callable[[Key], bool]) -> tuple[Accepted, ...]:
    """Write the chosen items as they are offered; what of them changed. Raises `CatalogFailed` or `OSError`."""
    replace(planned(where, before, now, chosen))
    return tuple(change for change in changes(before, now) if chosen(change.key))


def planned(where: Places, before: Reviewed, now: Live, chosen: Callable[[Key], bool]) -> Files:
    """Every file as it should be then, in the order of their writing: the pins last. Raises `CatalogFailed`."""
    pins = {key: pin for key, pin in before.pins.items() if not chosen(key)}
    definitions = {key: definition for key, definition in before.definitions.items() if not chosen(key)}
    for key, offer in now.offers.items():
        if chosen(key):
            pins[key] = offer.fingerprint
            definitions[key] = offer.definition
    backends = {key.backend for key in (*before.pins, *now.offers)}
    others = {key: pin for key, pin in reviewed.read_pins(where.pins).items() if key.backend not in backends}
    wanted = files(where, pins, definitions)
    stale = {path: None for path in files(where, before.pins, before.definitions) if path not in wanted}
    return {**stale, **wanted, where.pins: reviewed.written_pins({**others, **pins})}


def files(where: Places, named: Iterable[Key], definitions: Mapping[Key, JsonObject]) -> dict[Path, bytes | None]:
    """What should stand where for these definitions. `named`: every item, since names are apart from each other's."""
    stems = reviewed.file_stems({*named, *definitions})
    found: dict[Path, bytes | None] = {}
    for key, definition in definitions.items():
        found[where.catalog / definition_path(key, stems[key])] = written(definition)
        if key.type == "tool":
            found[where.schemas / arguments_path(key, stems[key])] = written(digestible(definition.get("inputSchema")).schema)
            if isinstance(definition.get("outputSchema"), dict):
                schema = digestible(definition["outputSchema"]).schema
                found[where.schemas / result_path(key, stems[key])] = written(schema)
    return found


def replace(wanted: Files) -> None:
    """Put all of `wanted` in place, in its order, or leave everything as it was. Raises `OSError`."""
    before = {path: _content(path) for path in wanted}
    moves = {path: content for path, content in wanted.items() if content != before[path]}
    halves: dict[Path, Path] = {}
    try:
        for path, content in moves.items():
            if content is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                halves[path] = path.with_name(f".{path.name}.half")
                halves[path].write_bytes(content)
    except OSError:
        for half in halves.values():
            half.unlink(missing_ok=True)
        raise
    done: list[Path] = []
    try:
        for path in moves:
            done.append(path)
            if path in halves:
                os.replace(halves[path], path)
            else:
                path.unlink(missing_ok=True)
    except OSError:
        for path in done:
            with suppress(OSError):  # each for itself: what can be put back is
                _restore(path, before[path])
        for half in halves.values():
            half.unlink(missing_ok=True)
        raise


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _restore(path: Path, content: bytes | None) -> None:
    if _content(path) == content:
        return
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)


def choice(items: Iterable[str], before: Reviewed, now: Live) -> Callable[[Key], bool]:
    """Which items are meant: those with one of these ids, or all when none is named. Raises `CatalogFailed`."""
    wanted = frozenset(items)
    if not wanted:
        return lambda key: True
    unknown = sorted(wanted - {key.id for key in (*before.pins, *now.offers)})
    if unknown:
        raise CatalogFailed(f"neither offered nor pinned: {', '.join(unknown)}; an item is named by its id: crm__search")
    return lambda key: key.id in wanted

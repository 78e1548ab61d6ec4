"""`catalog pin`: a reviewer's word that the definitions are good as they are now, written where rules read it.

The file is a program's alone (`mcp/facts/items/data.json`); labels and everything else that people write stand in
`mcp/facts/data.yaml`, and OPA joins the two.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gateway.adapters.backends import BackendSet
from gateway.assembly import backends as behind
from gateway.catalog.items import read_items
from gateway.errors import BackendFailed
from gateway.model import ItemType
from gateway.settings.model import Settings

MAX_PAGES = 100

PinsOfOne = dict[str, dict[str, dict[str, str]]]  # type -> name -> {"fingerprint": …}
Pins = dict[str, PinsOfOne]  # by backend


class PinFailed(Exception):
    """A backend could not be asked; nothing was written."""


@dataclass(frozen=True, slots=True)
class PinChange:
    what: Literal["new", "changed", "gone"]
    backend: str
    type: str
    name: str

    def members(self) -> dict[str, str]:
        return {"change": self.what, "backend": self.backend, "type": self.type, "name": self.name}


def pins(folder: Path) -> Path:
    """The file that holds the reviewed fingerprints of the policies in `folder`."""
    return folder / "mcp/facts/items/data.json"


async def pin(settings: Settings, backends: tuple[str, ...]) -> tuple[PinChange, ...]:
    """Fetch what `backends` offer and write it; what changed. Raises `PinFailed`; other backends' pins stay as they are."""
    unknown = set(backends) - set(settings.backends)
    if unknown:
        raise PinFailed(f"no such backend in the settings: {', '.join(sorted(unknown))}")
    path = pins(settings.policy.folder)
    before = reviewed(path)
    offered = behind.backends(settings, lambda change: None, backends)
    try:
        await offered.start()
        now = {backend: await fingerprints(offered, backend) for backend in backends}
    except BackendFailed as failed:
        raise PinFailed(f"a backend could not be asked, so nothing was written: {failed}") from failed
    finally:
        await offered.close()
    _write(path, {**before, **now})
    return tuple(change for backend in backends for change in _changes(backend, before.get(backend, {}), now[backend]))


async def fingerprints(offered: BackendSet, backend: str) -> PinsOfOne:
    """Of everything that the backend offers now. Raises `BackendFailed` or `PinFailed`."""
    found: PinsOfOne = {}
    for type in get_args(ItemType):
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            listing = await offered.page(backend, type, cursor, None)
            for item in read_items(listing)[0]:
                found.setdefault(type, {})[item.name] = {"fingerprint": item.fingerprint}
            cursor = listing.next_cursor
            if cursor is None:
                break
        else:
            raise PinFailed(f"{backend}: its list of {type}s has more than {MAX_PAGES} pages, or loops; nothing was written")
    return found


def reviewed(path: Path) -> Pins:
    """What the file says; nothing where there is none. Raises `PinFailed`."""
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise PinFailed(f"{path}: not JSON, so nothing was written: {error}") from error
    if not isinstance(before, dict):
        raise PinFailed(f"{path}: not an object, so nothing was written")
    return before


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all: the gateway may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    os.replace(half, path)


def _changes(backend: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[PinChange]:
    changes = []
    for type in sorted({*before, *now}):
        old, new = before.get(type, {}), now.get(type, {})
        changes += [PinChange("new", backend, type, name) for name in sorted(new.keys() - old.keys())]
        changes += [
            PinChange("changed", backend, type, name) for name in sorted(new.keys() & old.keys()) if new[name] != old[name]
        ]
        changes += [PinChange("gone", backend, type, name) for name in sorted(old.keys() - new.keys())]
    return changes

"""What somebody reviewed, as files: a definition counts as reviewed only if its fingerprint is the one that was pinned.

The pins (`items/data.json` in the folder of the facts) are what rules read and what is enforced. The definitions (the folder
`catalog` beside the policies) are for readers: so that a change can be shown, never so that something is let through.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast, get_args

import msgspec

from gateway.catalog.fingerprint import fingerprint
from gateway.catalog.items import MEMBERS
from gateway.lifecycle.catalog.names import Key, definition_path, stems
from gateway.lifecycle.catalog.offered import CatalogFailed
from gateway.model import ItemType, JsonObject
from gateway.settings.model import Settings
from gateway.settings.policy import Policy

TYPES: tuple[ItemType, ...] = get_args(ItemType)


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a policy repository that this room writes."""

    pins: Path
    catalog: Path
    schemas: Path

    @property
    def labels(self) -> Path:
        """Where people write labels."""
        return self.pins.parents[1] / "data.yaml"


class Bundled(CatalogFailed):
    """What decides is a bundle, and a bundle is no place to write pins into."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    pins: Mapping[Key, str]  # key -> fingerprint
    definitions: Mapping[Key, JsonObject]  # those that are what was pinned, to the letter
    notes: tuple[str, ...]  # files that are not


def places(settings: Settings, catalog: Path | None, facts: Path | None = None) -> Places:
    """Raises `Bundled`.

    `catalog`: where definitions are kept; None: in the folder `catalog` beside that of the policies, or of facts that lie apart.
    `facts`: the folder of the facts; None: as the settings say.
    """
    folder = facts or _facts(settings.policy)
    whole = folder.absolute()
    beside = whole.parents[2] if whole.parts[-2:] == ("mcp", "facts") else whole.parent
    return Places(folder / "items/data.json", catalog or beside / "catalog", settings.policy.schemas)


def _facts(policy: Policy) -> Path:
    """Raises `Bundled`."""
    if policy.facts is not None and not policy.facts.is_file():
        return policy.facts
    ways = {"facts": policy.facts, "facts_server": policy.facts_server, "bundle": policy.bundle, "server": policy.server}
    named = next((name for name, way in ways.items() if way is not None), None)
    if named is not None:
        raise Bundled(
            f"policy.{named}: the facts that decide come in a bundle, into which nothing can be pinned. Name the folder that "
            "it is built from, such as `--facts policies/mcp/facts`, and build the bundle anew after a pin"
        )
    return policy.folder / "mcp/facts"


def read(where: Places, backends: Iterable[str]) -> Reviewed:
    """What was reviewed of `backends`. Raises `CatalogFailed` where the pins cannot be read."""
    wanted = frozenset(backends)
    pins = {key: pin for key, pin in read_pins(where.pins).items() if key.backend in wanted}
    names = paths(pins)
    definitions: dict[Key, JsonObject] = {}
    notes = []
    for key, pin in pins.items():
        path = where.catalog / names[key]
        found = _definition(path)
        if found is None:
            continue
        if found.get(MEMBERS[key.type]) == key.name and fingerprint(found) == pin:
            definitions[key] = found
        else:
            notes.append(f"{path}: is not the definition that was pinned, so changes of it cannot be shown; pin it again")
    return Reviewed(pins, definitions, tuple(notes))


def paths(keys: Iterable[Key]) -> Mapping[Key, PurePosixPath]:
    """Where the definition of each stands, below the folder of the catalog."""
    return {key: definition_path(key, stem) for key, stem in file_stems(keys).items()}


def file_stems(keys: Iterable[Key]) -> Mapping[Key, str]:
    """File names of items, apart from each other within their backend and type."""
    together: dict[tuple[str, ItemType], list[Key]] = {}
    for key in keys:
        together.setdefault((key.backend, key.type), []).append(key)
    found: dict[Key, str] = {}
    for some in together.values():
        written = stems([key.name for key in some])
        found.update({key: written[key.name] for key in some})
    return found


def read_pins(path: Path) -> dict[Key, str]:
    """Every pin in the file. Raises `CatalogFailed`: what is not understood must not be written over."""
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, RecursionError) as error:
        raise CatalogFailed(f"{path}: not JSON, so nothing was written: {error}") from error
    if not isinstance(told, dict):
        raise CatalogFailed(f"{path}: not an object, so nothing was written")
    found = {}
    for backend, types in told.items():
        for type, names in types.items() if isinstance(types, dict) else [(None, None)]:
            if type not in TYPES or not isinstance(names, dict):
                raise CatalogFailed(f"{path}: {backend}: not pins, so nothing was written")
            for name, said in names.items():
                if not isinstance(said, dict) or set(said) != {"fingerprint"} or not isinstance(said["fingerprint"], str):
                    raise CatalogFailed(f"{path}: {backend}.{type}: {name!r} is no pin, so nothing was written")
                found[Key(backend, type, name)] = said["fingerprint"]
    return found


def written_pins(pins: Mapping[Key, str]) -> bytes:
    """As OPA reads them: backend -> type -> name -> fingerprint."""
    told: dict[str, dict[str, dict[str, dict[str, str]]]] = {}
    for key, pin in pins.items():
        told.setdefault(key.backend, {}).setdefault(key.type, {})[key.name] = {"fingerprint": pin}
    return written(cast(JsonObject, told))


def written(value: JsonObject) -> bytes:
    """As files of a repository hold it: in order, and in ASCII, so that no character in it can hide from a reader."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _definition(path: Path) -> JsonObject | None:
    """None: there is no such file. One that is no object is read as an empty one, which no pin is of."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

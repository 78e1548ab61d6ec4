"""The catalog that a table is about: what the facts know, with the annotations of the reviewed definitions where they are; or
what the backends offer, now or as `catalog export` wrote it, with what is new and changed in it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from gateway.catalog.fingerprint import fingerprint
from gateway.lifecycle.catalog import reviewed
from gateway.lifecycle.catalog.exporting import MARK
from gateway.lifecycle.catalog.names import Key
from gateway.lifecycle.catalog.offered import CatalogFailed, Live
from gateway.lifecycle.catalog.reviewed import TYPES, Places
from gateway.model import ItemType, Json, JsonObject, Resource

NO_BACKENDS = frozenset({"canary"})  # of the canaries' own rules: no such backend exists


def items(facts: Json, definitions: Mapping[Key, JsonObject]) -> tuple[Resource, ...]:
    """Every item that the facts name, by backend, type and name."""
    keys = []
    known = _inner(facts, "items")
    for backend, types in known.items():
        if backend in NO_BACKENDS:
            continue
        for type in TYPES:
            keys += [(Key(backend, type, name), said) for name, said in _inner(types, type).items()]
    return tuple(_resource(key, said, definitions.get(key)) for key, said in sorted(keys, key=lambda pair: pair[0]))


def without_items(wanted: Collection[str], there: Collection[str]) -> str:
    """That a backend somebody named has none, and which have; "": all that are named have some."""
    missing = sorted(set(wanted) - set(there))
    return f"no items of a backend {missing[0]}; there are {', '.join(sorted(set(there)))}" if missing and there else ""


class _Item(msgspec.Struct):
    backend: str
    type: ItemType
    name: str
    fingerprint: str


class _Written(msgspec.Struct):
    items: list[_Item]


def is_export(folder: Path) -> bool:
    """Whether `catalog export` wrote it; else it holds reviewed definitions. Raises `CatalogFailed` where it is neither."""
    if (folder / MARK).is_file():
        return True
    if not any(any(folder.glob(f"*/{type}/*.json")) for type in TYPES):
        what = "is not there" if not folder.exists() else "holds no definitions" if folder.is_dir() else "is no folder"
        raise CatalogFailed(f"{folder} {what}: --catalog names a folder that `mcp-gateway catalog export` or `pin` wrote")
    return False


def exported(folder: Path, backends: frozenset[str] = frozenset()) -> tuple[Resource, ...]:
    """What the backends offered when `catalog export` wrote this folder. Raises `CatalogFailed`."""
    try:
        listed = msgspec.json.decode((folder / MARK).read_bytes(), type=_Written).items
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CatalogFailed(f"{folder / MARK}: {error}") from error
    pins = {Key(one.backend, one.type, one.name): one.fingerprint for one in listed}
    if missing := without_items(backends, {key.backend for key in pins}):
        raise CatalogFailed(f"{folder / MARK}: {missing}")
    places = reviewed.paths(pins)
    wanted = sorted(key for key in pins if not backends or key.backend in backends)
    return tuple(
        _resource(key, {"fingerprint": pins[key]}, _defined(folder / "catalog" / places[key], pins[key])) for key in wanted
    )


def _defined(path: Path, expected: str) -> JsonObject:
    """Raises `CatalogFailed`."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CatalogFailed(f"{path}: {error}; export the catalog again") from error
    if fingerprint(found) != expected:
        raise CatalogFailed(f"{path}: is not what {MARK} lists; export the catalog again")
    return found


def offered(now: Live) -> tuple[Resource, ...]:
    """What the backends offer now."""
    return tuple(
        _resource(key, {"fingerprint": offer.fingerprint}, offer.definition) for key, offer in sorted(now.offers.items())
    )


def definitions(policies: Path, folder: Path) -> Mapping[Key, JsonObject]:
    """The definitions in a folder that `catalog pin` wrote, as far as they are those that were pinned. Raises `CatalogFailed`."""
    pins = policies / "mcp/facts/items/data.json"
    if not folder.is_dir():
        return {}
    backends = {key.backend for key in reviewed.read_pins(pins)}
    return reviewed.read(Places(pins, folder, policies), backends).definitions


def _resource(key: Key, said: Json, definition: JsonObject | None) -> Resource:
    fingerprint = said.get("fingerprint") if isinstance(said, dict) else None
    annotations = definition.get("annotations") if definition is not None else None
    named = key.type in ("tool", "prompt")
    return Resource(
        type=key.type,
        public_name=key.id,
        backend=key.backend,
        name=key.name if named else None,
        uri=key.name if key.type == "resource" else None,
        id=key.id,
        listed=True,
        template=key.name if key.type == "resource_template" else None,
        annotations=annotations if isinstance(annotations, dict) else None,
        fingerprint=fingerprint if isinstance(fingerprint, str) else None,
    )


def _inner(whole: Json, name: str) -> JsonObject:
    told = whole.get(name) if isinstance(whole, dict) else None
    return told if isinstance(told, dict) else {}

"""What the backends offer now: the whole of it, or nothing; a list that was cut short is never taken for the whole."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.adapters.backends import BackendSet
from gateway.assembly import backends as behind
from gateway.catalog.fingerprint import counted
from gateway.catalog.items import LISTED_BEFORE, read_items
from gateway.catalog.merge import TYPES
from gateway.errors import BackendFailed, Refusal
from gateway.lifecycle.catalog.names import Key
from gateway.model import ItemType, JsonObject
from gateway.settings.model import Settings

MAX_PAGES = 200
WALK_S = 120.0  # for all lists of all backends
CHUNK_ITEMS = 100


class CatalogFailed(Exception):
    """What was asked for cannot be done, and nothing was written: the message says why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One item as its backend defines it; `definition` is what its fingerprint counts."""

    key: Key
    fingerprint: str
    definition: JsonObject


@dataclass(frozen=True, slots=True)
class Live:
    """Everything that some backends offer to the gateway's own credential."""

    offers: Mapping[Key, Offer]
    notes: tuple[str, ...]  # what of it is not offered on, and what a reader should know


async def live(settings: Settings, backends: Sequence[str]) -> Live:
    """Ask `backends`. Raises `CatalogFailed` when one cannot be asked, `SettingsError` when its settings cannot work."""
    unknown = sorted(set(backends) - set(settings.backends))
    if unknown:
        raise CatalogFailed(f"no such backend in the settings: {', '.join(unknown)}")
    offered = behind.backends(settings, lambda change: None, backends)
    try:
        async with asyncio.timeout(WALK_S):
            await offered.start()
            parts = await asyncio.gather(*(walked(offered, backend) for backend in backends))
    except TimeoutError as error:
        raise CatalogFailed(f"the lists of the backends took more than {WALK_S:g} s, so nothing was written") from error
    except (BackendFailed, Refusal) as failed:
        raise CatalogFailed(f"a backend could not be asked, so nothing was written: {failed}") from failed
    finally:
        await offered.close()
    offers = {key: offer for part in parts for key, offer in part.offers.items()}
    return Live(offers, (*(note for part in parts for note in part.notes), *_own_view(settings, backends)))


def _own_view(settings: Settings, backends: Sequence[str]) -> tuple[str, ...]:
    """A definition that only some subject is shown cannot be reviewed here, and the reader must know."""
    return tuple(
        f"{backend}: lists for each subject; this is what it lists to the gateway's own credential"
        for backend in backends
        if settings.backends[backend].lists_per_subject
    )


async def walked(offered: BackendSet, backend: str) -> Live:
    """Everything that one backend offers. Raises `BackendFailed`, `Refusal` or `CatalogFailed`."""
    offers: dict[Key, Offer] = {}
    notes: dict[str, None] = {}
    for type in TYPES:
        await _list(offered, backend, type, offers, notes)
    return Live(offers, tuple(notes))


async def _list(offered: BackendSet, backend: str, type: ItemType, offers: dict[Key, Offer], notes: dict[str, None]) -> None:
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        listing = await offered.page(backend, type, cursor, None)
        for at, raw in enumerate(listing.definitions):
            items, dropped = read_items(replace(listing, definitions=(raw,)))
            for item in items:
                key = Key(backend, type, item.name)
                if key in offers:  # the first counts, as for callers
                    notes[f"{backend}: {type} {item.name!r} is not offered: {LISTED_BEFORE}"] = None
                else:
                    offers[key] = Offer(key, item.fingerprint, counted(raw))
            for left in dropped:
                notes[f"{backend}: {type} {left.name!r} is not offered: {left.reason}"] = None
            if at % CHUNK_ITEMS == CHUNK_ITEMS - 1:
                await asyncio.sleep(0)  # the other backends are heard meanwhile
        cursor = listing.next_cursor
        if cursor is None:
            return
        if cursor in seen:
            break
        seen.add(cursor)
    raise CatalogFailed(f"{backend}: its list of {type}s has more than {MAX_PAGES} pages, or loops; nothing was written")

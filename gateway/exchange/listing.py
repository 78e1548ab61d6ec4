"""A list: everything the surface has is asked about, and only what is visible is shown, in a fixed order.

Tools, prompts and templates come from the catalog, paged by a cursor over our own order; resources come page by page
from their backends, the backend's cursor sealed in ours. A backend that is missing costs its own part, and the list says so.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.catalog import cursor
from gateway.catalog.cursor import Cursor
from gateway.catalog.items import read_items
from gateway.catalog.surface import shown
from gateway.errors import BackendFailed, Kind, Refusal, Undecided
from gateway.exchange import recording, redacting
from gateway.exchange.asking import PER_BACKEND, ask_list, not_understood, question
from gateway.exchange.draft import Draft
from gateway.exchange.kept_lists import KeptList, as_seen
from gateway.exchange.parts import Exchange, Ports
from gateway.model import Item, ItemType, Json, JsonObject, Reply
from gateway.policy.obligations import plan_list
from gateway.policy.redact import BadRedaction, Redactor
from gateway.wire import json

MISSING = "mcp-gateway/missing"
"""`_meta` key of a list that lacks a backend's part: the names of those backends."""
LIST_METHODS: dict[ItemType, str] = {
    "tool": "tools/list",
    "prompt": "prompts/list",
    "resource": "resources/list",
    "resource_template": "resources/templates/list",
}
CURSOR_TTL_S = 3600.0


async def listing(ports: Ports, x: Exchange, draft: Draft) -> Reply:
    """The list that `x` asks for. Raises `Refusal`."""
    text = x.message.params.get("cursor")
    at = _opened(ports, x, text) if isinstance(text, str) else None
    try:
        if x.method.item_type == "resource":
            return await _resources(ports, x, draft, at)
        return await _catalog_items(ports, x, draft, at)
    except Undecided as undecided:
        raise Refusal(
            Kind.UNDECIDED,
            "The policy gave no decision on this list. Try again in a moment; tell the gateway's operator if it stays so.",
            cause=undecided.cause,
        ) from undecided


async def shown_as(ports: Ports, x: Exchange, type: ItemType) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """What the caller is shown of the catalog's items of this type: the definitions, as a list of them would have them now.

    And the backends whose part is undecided. Raises `Undecided`.
    """
    items = x.view.items.get(type, ())
    seen = await _decided(ports, x, Draft(), ports.kept_lists.of(items, ports.decider.contract.words), action=LIST_METHODS[type])
    return tuple(seen.changed.get(each) or items[each].modern for each in sorted(seen.visible)), seen.lost


async def _catalog_items(ports: Ports, x: Exchange, draft: Draft, at: Cursor | None) -> Reply:
    assert x.method.item_type is not None
    items = x.view.items.get(x.method.item_type, ())
    seen = await _decided(ports, x, draft, ports.kept_lists.of(items, ports.decider.contract.words))
    visible = sorted(seen.visible)
    if at is not None:
        visible = [position for position in visible if items[position].public_name > (at.last or "")]
    page = visible[: ports.bounds.list_page_items]
    following = None
    if len(visible) > len(page):
        following = _sealed(ports, x, last=items[page[-1]].public_name)
    draft.missing = _missing(ports, x.view.missing, seen.lost)
    return _reply(ports, x, draft, _serialised(x, items, page, seen.changed), following)


async def _resources(ports: Ports, x: Exchange, draft: Draft, at: Cursor | None) -> Reply:
    """One page with something in it, or the end. Pages of which nothing is visible are walked past, a bounded number."""
    backends = x.view.backends
    index, upstream = (at.backend_index, at.upstream) if at is not None else (0, None)
    missing: list[str] = []
    parts: list[bytes] = []
    undecided: Undecided | None = None
    decided = False
    for _ in range(ports.bounds.resource_pages):
        if index >= len(backends) or parts:
            break
        backend = backends[index]
        if ports.backends.scope(backend, x.caller.key):
            await recording.fetch(ports, x, backend, "resource")
        try:
            page = await ports.backends.page(backend, "resource", upstream, x.caller)
        except BackendFailed:
            missing.append(backend)
            index, upstream = index + 1, None
            continue
        items = shown(x.view, read_items(page)[0])
        try:
            seen = await _decided(ports, x, draft, as_seen(items, ports.decider.contract.words))
        except Undecided as failed:
            if failed.cause not in PER_BACKEND or (undecided is not None and failed.cause == "late"):
                raise
            undecided = failed  # one backend's broken rule costs its own part
            missing.append(backend)
            index, upstream = index + 1, None
            continue
        decided = decided or bool(items)
        missing.extend(seen.lost)
        parts = _serialised(x, items, sorted(seen.visible), seen.changed)
        index, upstream = (index, page.next_cursor) if page.next_cursor is not None else (index + 1, None)
    if undecided is not None and not decided:
        raise undecided
    following = _sealed(ports, x, backend_index=index, upstream=upstream) if index < len(backends) else None
    draft.missing = _missing(ports, tuple(missing), ())
    return _reply(ports, x, draft, parts, following)


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be shown of some items, and those whose definition the policy changes."""

    visible: frozenset[int]
    changed: Mapping[int, bytes]
    lost: tuple[str, ...]


async def _decided(ports: Ports, x: Exchange, draft: Draft, kept: KeptList, *, action: str | None = None) -> Shown:
    items = kept.items
    asked = question(x, kept.resources, phase="list", action=action, now_ns=x.started_ns)
    seen = await ask_list(ports, draft, asked, kept=kept.fragments)
    visible = set(seen.visible)
    owed: dict[int, Redactor] = {}
    hidden: dict[str, int] = dict(draft.hidden or {})
    for positions, decision in seen.decisions:
        for rule, hides in decision.hidden_by.items():
            hidden[rule] = hidden.get(rule, 0) + len(hides)
        if decision.obligations:
            duties = plan_list(decision, asked=len(positions))
            draft.list_duties.append(duties)
            bad = False
            for local, redactions in duties.item_redactions.items():
                position = positions[local]
                if position not in visible:
                    continue
                try:
                    owed[position] = ports.redactors.compiled(redactions)
                except BadRedaction:  # it refuses its author's items, and nobody else's
                    visible.discard(position)
                    bad = True
            if bad:
                not_understood(ports, draft, decision)
    draft.shown = (draft.shown or 0) + len(visible)
    draft.not_shown += len(items) - len(visible)
    draft.hidden = hidden
    return Shown(frozenset(visible), await _redacted(ports, draft, items, owed), seen.lost)


async def _redacted(ports: Ports, draft: Draft, items: Sequence[Item], owed: Mapping[int, Redactor]) -> dict[int, bytes]:
    """Those definitions that the policy changes, by their position."""
    if not owed:
        return {}
    definitions = [(redactor, items[position]) for position, redactor in owed.items()]
    outcomes = await redacting.items(ports.redacting_turns, definitions)
    for outcome in outcomes:
        draft.hits.extend(outcome.hits)
    return {position: json.encode(outcome.value) for position, outcome in zip(owed, outcomes, strict=True)}


def _serialised(x: Exchange, items: Sequence[Item], page: Sequence[int], changed: Mapping[int, bytes]) -> list[bytes]:
    """Each shown definition as bytes: kept ones as they are, redacted ones anew."""
    if x.message.era == "modern":
        return [changed.get(each) or items[each].modern for each in page]
    return [changed.get(each) or items[each].legacy for each in page]


def _reply(ports: Ports, x: Exchange, draft: Draft, parts: Sequence[bytes], following: str | None) -> Reply:
    """The result, serialised: the items are joined, never parsed again."""
    rest: JsonObject = {}
    meta: JsonObject = {}
    if draft.missing:
        meta[MISSING] = list[Json](draft.missing)
    if following is not None:
        rest["nextCursor"] = following
    if x.message.era == "modern":
        assert x.method.item_type is not None
        partial = bool(draft.missing) or following is not None
        rest["resultType"] = "complete"
        unkept = partial or x.method.item_type == "resource"
        rest["ttlMs"] = 0 if unkept else x.view.ttl_left_ms(x.method.item_type, ports.now_ns())
        rest["cacheScope"] = "private"  # what is shown depends on who asks
        meta["io.modelcontextprotocol/serverInfo"] = dict(ports.server_info)
    if meta:
        rest["_meta"] = meta
    key = json.encode(x.method.list_key)
    tail = b"]," + json.encode(rest)[1:] if rest else b"]}"
    whole = b"".join((b"{", key, b":[", b",".join(parts), tail))  # not by `+`: each would copy 1 MB
    draft.bytes_out = len(whole)
    return Reply(whole)


def _missing(ports: Ports, absent: Sequence[str], lost: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((*absent, *lost)))
    for name in names:
        ports.meter.missing(backend=name)
    return names


def _sealed(ports: Ports, x: Exchange, *, last: str | None = None, backend_index: int = 0, upstream: str | None = None) -> str:
    plain = Cursor(
        method=x.method.name,
        caller_key=x.caller.key,
        surface=x.view.surface,
        expires_s=ports.now_ns() / 1e9 + CURSOR_TTL_S,
        last=last,
        backend_index=backend_index,
        upstream=upstream,
    )
    return cursor.seal(plain, ports.cursor_key, secrets.token_bytes(cursor.NONCE_BYTES))


def _opened(ports: Ports, x: Exchange, text: str) -> Cursor:
    return cursor.open(
        text,
        ports.cursor_key,
        method=x.method.name,
        caller_key=x.caller.key,
        surface=x.view.surface,
        now_s=ports.now_ns() / 1e9,
    )

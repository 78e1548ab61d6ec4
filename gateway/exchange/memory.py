"""What may be kept between exchanges, each in a bounded store that forgets the oldest first.

A list decision is remembered under the hash of its whole document and the policy revision; a call's never is.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.errors import Undecided
from gateway.model import Decision, Item, JsonObject
from gateway.policy.duty import Redaction
from gateway.policy.redact import Redactor, compile_redactions
from gateway.policy.schema_check import Validator, compiled
from gateway.policy.unknown_arguments import beyond, flat_names, unknown_arguments

V = TypeVar("V")


class Bounded(Generic[V]):
    """A mapping of at most `size` entries, least recently used out first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[object, V] = OrderedDict()

    def find(self, key: object) -> V | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def keep(self, key: object, value: V) -> V:
        self._entries[key] = value
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return value


class ListMemory(Bounded[Decision]):
    """Decisions on lists, by the hash of their document; one that many ask for at once is asked for once."""

    def __init__(self, size: int = 512) -> None:  # a decision counts for ten seconds, so more would only fill memory
        super().__init__(size)
        self._under_way: dict[bytes, asyncio.Future[Decision]] = {}

    async def shared(self, key: bytes, ask: Callable[[], Awaitable[Decision]]) -> Decision:
        """What `ask` answers, or answers just now to somebody with the same document. Raises `Undecided`, to all of them.

        Who asked first may go away: then the next one asks, so nobody is undecided by another's leaving.
        """
        while (under_way := self._under_way.get(key)) is not None:
            await asyncio.wait((under_way,))
            if not under_way.cancelled():
                return under_way.result()
        answer = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            decision = await ask()
        except Undecided as undecided:
            answer.set_exception(undecided)
            answer.exception()  # nobody may be waiting, and then it is not lost either: it is raised here
            raise
        else:
            answer.set_result(decision)
            return decision
        finally:
            answer.cancel()  # without effect once it is answered
            del self._under_way[key]


class Redactors:
    """Compiled redactions: patterns are compiled once, not per exchange. Raises `BadRedaction`."""

    def __init__(self, hash_key: bytes, size: int = 512) -> None:
        self._hash_key = hash_key
        self._kept: Bounded[Redactor] = Bounded(size)
        self._by_identity: Bounded[tuple[tuple[Redaction, ...], Redactor]] = Bounded(size)  # plans are kept, so mostly the same

    def compiled(self, redactions: tuple[Redaction, ...]) -> Redactor:
        same = self._by_identity.find(id(redactions))
        if same is not None and same[0] is redactions:
            return same[1]
        key = _frozen_redactions(redactions)
        redactor = self._kept.find(key) or self._kept.keep(key, compile_redactions(redactions, self._hash_key))
        self._by_identity.keep(id(redactions), (redactions, redactor))
        return redactor


class Validators:
    """Compiled input schemas, by the fingerprint of their item."""

    def __init__(self, size: int = 4096) -> None:
        self._kept: Bounded[Validator] = Bounded(size)
        self._names: Bounded[tuple[frozenset[str] | None]] = Bounded(size)

    def unknown_arguments(self, item: Item, arguments: JsonObject) -> tuple[str, ...]:
        """JSON pointers to the arguments that the item's own schema does not know."""
        key, schema = (item.id, item.fingerprint), item.definition.get("inputSchema")
        (names,) = self._names.find(key) or self._names.keep(key, (flat_names(schema),))
        return unknown_arguments(schema, arguments) if names is None else beyond(names, arguments)

    def of_arguments(self, item: Item) -> Validator:
        return self._of(item, "inputSchema")

    def of_results(self, item: Item) -> Validator:
        """Of structured content."""
        return self._of(item, "outputSchema")

    def _of(self, item: Item, member: str) -> Validator:
        key = (item.id, item.fingerprint, member)
        return self._kept.find(key) or self._kept.keep(key, compiled(item.definition.get(member)))


def _frozen_redactions(redactions: tuple[Redaction, ...]) -> object:
    """A key that is equal exactly for equal redactions; `value` may be any JSON, so its text stands for it."""
    return tuple(
        (
            each.rule,
            each.code,
            each.target,
            each.pointer,
            each.pattern,
            each.except_pattern,
            each.action,
            repr(each.value),
            each.binary,
            each.check,
            each.ours,
        )
        for each in redactions
    )

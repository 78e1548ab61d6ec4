"""The lists of each view as the policy sees them, serialised once: items change far less often than they are listed."""

from dataclasses import dataclass

from gateway.exchange.memory import Bounded
from gateway.exchange.target import listed
from gateway.model import Item, Resource
from gateway.policy import document
from gateway.policy.document import Fragments, Words


@dataclass(frozen=True, slots=True)
class KeptList:
    items: tuple[Item, ...]
    resources: tuple[Resource, ...]
    fragments: tuple[Fragments, ...]  # of each chunk
    words: Words  # of the contract version that they are for


class KeptLists:
    """By the identity of a view's own tuple, which stays the same object as long as nothing in it changes."""

    def __init__(self, size: int = 256) -> None:
        self._kept: Bounded[KeptList] = Bounded(size)

    def of(self, items: tuple[Item, ...], words: Words) -> KeptList:
        known = self._kept.find(id(items))
        if known is not None and known.items is items and known.words is words:
            return known
        return self._kept.keep(id(items), as_seen(items, words))


def as_seen(items: tuple[Item, ...], words: Words) -> KeptList:
    """The items as the policy sees them, kept nowhere: of a page that is read anew each time."""
    resources = tuple(listed(item) for item in items)
    fragments = tuple(document.fragments(chunk, words) for chunk in document.chunks(resources))
    return KeptList(items, resources, fragments, words)

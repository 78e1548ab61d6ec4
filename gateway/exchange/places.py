"""Which streams watch a URI, found by the URI and those above it: a message that concerns nobody costs next to nothing.

A URI is below another where it goes on after that and a slash (2026-07-28, patterns/subscriptions: sub-resources).
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_LEVELS = (
    64  # a backend may send URIs of any length: one deeper down is told to those who watch it, or one of the first levels
)

Place = tuple[str, str]
"""A backend, and its own URI."""


class Places(Generic[T]):
    """Watchers by the places that they watch."""

    def __init__(self) -> None:
        self._at: dict[Place, dict[str, set[T]]] = {}  # (backend, URI less its last slashes) -> URI -> watchers

    def add(self, place: Place, watcher: T) -> None:
        backend, uri = place
        self._at.setdefault((backend, uri.rstrip("/")), {}).setdefault(uri, set()).add(watcher)

    def discard(self, place: Place, watcher: T) -> None:
        """Nothing where it does not watch."""
        backend, uri = place
        key = (backend, uri.rstrip("/"))
        watchers = self._at.get(key, {}).get(uri, set())
        watchers.discard(watcher)
        if not watchers and key in self._at:
            self._at[key].pop(uri, None)
            if not self._at[key]:
                del self._at[key]

    def concerned(self, backend: str, uri: str) -> dict[T, str]:
        """Who watches `uri` or one above it, each with the nearest that it watches."""
        found: dict[T, str] = {}
        for above in _levels(uri):
            for watched, watchers in self._at.get((backend, above), {}).items():
                if watched == uri or uri.startswith(f"{above}/"):
                    found.update(dict.fromkeys(watchers, watched))
        return found

    def __len__(self) -> int:
        return sum(len(watchers) for uris in self._at.values() for watchers in uris.values())


def _levels(uri: str) -> Iterator[str]:
    """What stands before each slash of `uri`, and all of it."""
    end = -1
    for _ in range(MAX_LEVELS):
        end = uri.find("/", end + 1)
        if end < 0:
            break
        yield uri[:end]
    yield uri.rstrip("/")

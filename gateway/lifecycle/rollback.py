"""Going back to a policy set that was accepted before: a pin in the gateway's own folder, which it watches.

A file and no request: it works while the gateway is down or undecided, needs no further door into it, and whoever may write this
folder could change its policies anyway. The gateway checks and verifies the set like any other, and tells here what came of it.
"""

import time
from dataclasses import dataclass

from gateway.adapters.opa.history import History, Index, Pin

PAUSE_S = 0.1  # between two looks at what the gateway made of it


class CannotGoBack(Exception):
    """There is nothing to go back to by this name; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gateway did. `why`: it refused; neither that nor `in_force`: it has not said anything yet."""

    revision: str | None
    in_force: bool
    why: tuple[str, ...] = ()


def meant(index: Index, revision: str | None) -> str:
    """The revision that is gone back to: the one before the one in force, or the only one that begins so."""
    known = [one.revision for one in index.kept]
    there = f"kept are {', '.join(known)}" if known else "none is kept yet"
    if revision is None:
        at = known.index(index.in_force) if index.in_force in known else 0
        if at == 0:
            raise CannotGoBack(f"no policy set was accepted before the one in force; {there}")
        return known[at - 1]
    fitting = [one for one in known if one == revision] or [one for one in known if one.startswith(revision)]
    if len(fitting) != 1:
        raise CannotGoBack(f"{len(fitting) or 'no'} kept revisions begin with {revision!r}; {there}")
    return fitting[0]


def pinned(history: History, revision: str, patience_s: float) -> Outcome:
    """Pin `revision` and wait for the gateway. A pin that it refuses is taken back. Raises `OSError` and `PolicyRejected`."""
    before, index = history.pin(), history.index()
    history.set_pin(Pin(revision, time.time()))
    until_s = time.monotonic() + patience_s
    while True:
        now = history.index()
        if now.told_s != index.told_s and now.refused_revision == revision:
            history.set_pin(before)
            return Outcome(revision, in_force=False, why=now.refused)
        if now.told_s != index.told_s and now.in_force == revision:
            time.sleep(PAUSE_S)  # a set is kept, which is what was seen, the moment before it decides
            return Outcome(revision, in_force=True)
        if time.monotonic() >= until_s:
            return Outcome(revision, in_force=False)
        time.sleep(PAUSE_S)


def released(history: History, patience_s: float) -> Outcome:
    """Take the pin away and wait until the newest set decides again. Raises `OSError` and `PolicyRejected`."""
    index = history.index()
    history.set_pin(None)
    until_s = time.monotonic() + patience_s
    while time.monotonic() < until_s:
        now = history.index()
        if now.told_s != index.told_s:
            time.sleep(PAUSE_S)
            return Outcome(now.in_force, in_force=True)
        time.sleep(PAUSE_S)
    return Outcome(None, in_force=False)

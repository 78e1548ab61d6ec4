"""The ports of one stage: what a test stands in for it says itself, all else is the real thing."""

import asyncio
from typing import Any, cast

from gateway.exchange.kept_lists import KeptLists
from gateway.exchange.memory import ListMemory, Redactors, Validators
from gateway.exchange.parts import Ports
from gateway.exchange.standing import Standings


def ports(world: object, standings: Standings, **others: Any) -> Ports:
    """`world` is everything outside; what of it is asked for and it lacks is an error. `others` stand in its place."""
    outside = dict.fromkeys(("decider", "backends", "catalogs", "limiter", "audit", "meter"), cast(Any, world))
    return Ports(
        **{**outside, **others},
        memory=ListMemory(),
        list_turns=asyncio.Semaphore(4),
        kept_lists=KeptLists(),
        redactors=Redactors(b"k" * 32),
        validators=Validators(),
        standings=standings,
        server_info={"name": "gateway"},
        cursor_key=b"k" * 32,
    )

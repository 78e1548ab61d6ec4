"""What the policy is told about arguments beside themselves: whether they are valid, which are unknown, what they hold.

Read anew for every question, from the very arguments that it is about; and with the declarations of the policy in force.
"""

import asyncio
from dataclasses import dataclass, replace

from gateway.exchange.parts import Ports
from gateway.exchange.target import Target
from gateway.model import Item, JsonObject
from gateway.policy.extract import Declared, extracted, is_slow, told
from gateway.policy.schema_check import TakesLong, Validator
from gateway.policy.unknown_arguments import beyond


@dataclass(frozen=True, slots=True)
class ArgumentFacts:
    """About one request's arguments."""

    valid: bool  # they satisfy the item's own schema
    unknown: tuple[str, ...]  # JSON pointers to those that it does not know
    extracted: JsonObject | None  # None: nothing is declared for the item, or it is not read yet
    revision: str | None  # of the policy set whose declarations were used
    waiting: tuple[Declared, ...] = ()  # what is declared and takes long to read
    unjudged: Validator | None = None  # what takes long to tell whether they are valid; until then they are not

    @property
    def incomplete(self) -> bool:
        return bool(self.waiting) or self.unjudged is not None


def argument_facts(ports: Ports, target: Target, arguments: JsonObject) -> ArgumentFacts:
    """All that can be told at once."""
    extractions = ports.decider.extractions
    unjudged: Validator | None = None
    try:
        valid = _valid(ports, target, arguments)
    except TakesLong:
        assert target.item is not None
        valid, unjudged = False, ports.validators.of_arguments(target.item)
    unknown = _unknown(ports, target, arguments)
    declared = extractions.of(target.resource)
    if not declared:
        return ArgumentFacts(valid, unknown, None, extractions.revision, unjudged=unjudged)
    texts = told(target.resource, arguments)
    if is_slow(declared, texts):
        return ArgumentFacts(valid, unknown, None, extractions.revision, waiting=declared, unjudged=unjudged)
    return ArgumentFacts(valid, unknown, extracted(declared, texts), extractions.revision, unjudged=unjudged)


async def completed(ports: Ports, target: Target, read: ArgumentFacts, arguments: JsonObject) -> ArgumentFacts:
    """With what takes long, read off the event loop and a few at a time, or they would hold up everybody else."""
    async with ports.reading_turns:
        return await asyncio.to_thread(_completed, target, read, arguments)


def _completed(target: Target, read: ArgumentFacts, arguments: JsonObject) -> ArgumentFacts:
    found = extracted(read.waiting, told(target.resource, arguments)) if read.waiting else read.extracted
    valid = read.valid if read.unjudged is None else read.unjudged.valid(arguments)
    return replace(read, valid=valid, extracted=found, waiting=(), unjudged=None)


def _valid(ports: Ports, target: Target, arguments: JsonObject) -> bool:
    """A prompt's are its required names, all of them text. Raises `TakesLong`."""
    item = target.item
    if item is None:
        return target.resource.type in {"resource", "resource_template"}
    if item.type == "tool":
        return ports.validators.of_arguments(item).prompt(arguments)
    if item.type == "prompt":
        required = _named(item, required=True)
        return required <= arguments.keys() and all(isinstance(each, str) for each in arguments.values())
    return True


def _unknown(ports: Ports, target: Target, arguments: JsonObject) -> tuple[str, ...]:
    """What does not exist knows no argument; templates have their variables, which are matched elsewhere."""
    if not arguments or target.resource.type in {"resource", "resource_template"}:
        return ()
    item = target.item
    if item is None:
        return beyond((), arguments)
    if item.type == "prompt":
        return beyond(_named(item), arguments)
    return ports.validators.unknown_arguments(item, arguments)


def _named(item: Item, *, required: bool = False) -> frozenset[str]:
    declared = item.definition.get("arguments")
    named = [each for each in declared if isinstance(each, dict)] if isinstance(declared, list) else []
    return frozenset(str(each["name"]) for each in named if not required or each.get("required") is True)

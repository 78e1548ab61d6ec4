"""What the policy is told about arguments beside themselves: whether they are valid, which are unknown, what they hold.

Read anew for every question, from the very arguments that it is about; and with the declarations of the policy in force.
"""

import asyncio
from dataclasses import dataclass

from gateway.exchange.parts import Ports
from gateway.exchange.target import Target
from gateway.model import Item, JsonObject
from gateway.policy.extract import extracted, is_slow
from gateway.policy.unknown_arguments import unknown_arguments


@dataclass(frozen=True, slots=True)
class ArgumentFacts:
    """About one request's arguments."""

    valid: bool  # they satisfy the item's own schema
    unknown: tuple[str, ...]  # JSON pointers to those that it does not know
    extracted: JsonObject | None  # None: nothing is declared for the item
    revision: str | None  # of the policy set whose declarations were used


async def argument_facts(ports: Ports, target: Target, arguments: JsonObject) -> ArgumentFacts:
    """Waits only where the reading would hold up others."""
    extractions = ports.decider.extractions
    valid, unknown = _valid(ports, target, arguments), _unknown(target, arguments)
    declared = extractions.of(target.resource)
    if not declared:
        return ArgumentFacts(valid, unknown, None, extractions.revision)
    if is_slow(declared, arguments):
        found = await asyncio.to_thread(extracted, declared, arguments)
    else:
        found = extracted(declared, arguments)
    return ArgumentFacts(valid, unknown, found, extractions.revision)


def _valid(ports: Ports, target: Target, arguments: JsonObject) -> bool:
    """A prompt's are its required names, all of them text."""
    item = target.item
    if item is None:
        return target.resource.type in {"resource", "resource_template"}
    if item.type == "tool":
        return ports.validators.arguments_valid(item, arguments)
    if item.type == "prompt":
        required = _named(item, required=True)
        return required <= arguments.keys() and all(isinstance(each, str) for each in arguments.values())
    return True


def _unknown(target: Target, arguments: JsonObject) -> tuple[str, ...]:
    """What does not exist knows no argument; templates have their variables, which are matched elsewhere."""
    if not arguments or target.resource.type in {"resource", "resource_template"}:
        return ()
    item = target.item
    if item is None:
        return unknown_arguments({}, arguments)
    if item.type == "prompt":
        return unknown_arguments({"properties": {name: {} for name in _named(item)}}, arguments)
    return unknown_arguments(item.definition.get("inputSchema"), arguments)


def _named(item: Item, *, required: bool = False) -> frozenset[str]:
    declared = item.definition.get("arguments")
    named = [each for each in declared if isinstance(each, dict)] if isinstance(declared, list) else []
    return frozenset(str(each["name"]) for each in named if not required or each.get("required") is True)

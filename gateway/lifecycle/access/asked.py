"""The questions that a table is made of: a list of items, and a call of one without arguments, for some kind of caller."""

from collections.abc import Sequence

from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions.opened import Opened
from gateway.lifecycle.conditions.standing import OF_THE_CALL
from gateway.model import ClientInfo, ItemType, Json, JsonObject, Phase, Resource
from gateway.policy import document

METHODS: dict[ItemType, str] = {
    "tool": "tools/call",
    "prompt": "prompts/get",
    "resource": "resources/read",
    "resource_template": "resources/read",
}


def question(persona: Persona, items: Sequence[Resource], phase: Phase, time_ns: int) -> JsonObject:
    """The input; a request is one without arguments."""
    request = phase == "request"
    return supposed(
        document.Question(
            caller=persona.caller,
            action_name=METHODS[items[0].type] if request else "tools/list",
            phase=phase,
            resources=tuple(items),
            surface=persona.surface,
            protocol="2026-07-28",
            client=ClientInfo(),
            time_ns=time_ns,
            decision_id="",
            request_id="",
            trace_id=None,
            arguments={} if request else None,
            arguments_valid=True if request else None,
        )
    )


def supposed(question: document.Question) -> JsonObject:
    """The input of a question that no exchange asked: without the ids of one."""
    given = document.document(question)["input"]
    assert isinstance(given, dict)
    del given["exchange"]
    return given


def _place(resource: JsonObject) -> tuple[Json, Json, Json]:
    """Where the facts declare what is read in a call of this item."""
    if resource.get("type") == "resource":
        return resource.get("backend"), "resource_template", resource.get("template")
    return resource.get("backend"), resource.get("type"), resource.get("name")


async def open_parts(policy: Opened, given: JsonObject) -> tuple[str, ...]:
    """What is not known of a call: with what the gateway reads in its arguments, where the facts declare something to read."""
    resources = given["resources"]
    resource = resources[0] if isinstance(resources, list) and resources else None
    if not isinstance(resource, dict):
        return OF_THE_CALL
    known: Json = await policy.value("mcp/facts/items")
    for name in _place(resource):
        known = known.get(name) if isinstance(known, dict) and isinstance(name, str) else None
    return (*OF_THE_CALL, "input.extracted") if isinstance(known, dict) and known.get("extract") else OF_THE_CALL

"""What the callers of the second act do: some of everybody's day, and single calls whose decision is looked up in the audit."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from examples.demo.stack import Stack

IDENTITIES = {"analyst": ["analysts"], "engineer": ["engineers"], "release": ["engineers", "release"]}
DEPLOY = "deploy__deploy"
STAGING = {"service": "web", "environment": "staging", "version": "1.5"}
PATIENCE_S = 120.0  # the shadow has the lowest priority: on a busy machine it takes its time
PAUSE_S = 0.1

Call = tuple[str, dict[str, Any]]


def _deploys(environment: str, *services: str) -> list[Call]:
    return [(DEPLOY, {"service": each, "environment": environment, "version": "1.4"}) for each in services]


DAY: dict[str, list[Call]] = {
    "analyst": [
        ("crm__search_customers", {"query": "a"}),
        *(("crm__customer", {"customer_id": each}) for each in ("c-1", "c-2")),
        ("crm__update_customer", {"customer_id": "c-1", "email": "ada@new.test"}),
        ("deploy__services", {}),
    ],
    "engineer": [
        ("deploy__services", {}),
        *_deploys("test", "billing", "search", "web"),
        *_deploys("staging", "search", "web"),
        ("deploy__restart", {"service": "search", "environment": "staging"}),
        *_deploys("production", "web"),
        ("deploy__service_log", {"service": "search"}),
    ],
    "release": [*_deploys("staging", "billing"), *_deploys("production", "billing", "search"), ("deploy__services", {})],
}


@dataclass(frozen=True)
class Answered:
    """What the caller got, and what the audit holds of it."""

    refused: bool
    text: str
    decision_id: str
    revision: str


async def day(stack: Stack) -> int:
    """Everybody lists the tools and makes their calls; how many calls that were."""
    for who, calls in DAY.items():
        async with _http(stack, who) as http, _client(stack, http) as client:
            await client.list_tools()
            for tool, arguments in calls:
                await client.call_tool(tool, arguments)
    return sum(len(calls) for calls in DAY.values())


async def call(stack: Stack, who: str, tool: str, arguments: dict[str, Any]) -> Answered:
    """One call, and the decision that it got by the audit."""
    seen = {each["decision_id"] for record in records(stack) for each in record.get("decisions", [])}
    async with _http(stack, who) as http, _client(stack, http) as client:
        result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    text = " ".join(block.text for block in result.content if isinstance(block, TextContent))
    for record in records(stack):
        for each in record.get("decisions", []):
            if record.get("method") == "tools/call" and each["decision_id"] not in seen:
                return Answered(bool(result.is_error), text, each["decision_id"], each["revision"])
    raise LookupError(f"the audit in {stack.audit_folder} holds no decision about {who}'s call of {tool}")


def records(stack: Stack) -> Iterator[dict[str, Any]]:
    for file in sorted(stack.audit_folder.glob("*.jsonl")):
        with file.open() as lines:
            yield from (json.loads(line) for line in lines if line.endswith("\n"))


def await_record(stack: Stack, type: str, **members: str | bool) -> None:
    """Until the audit holds such a line. Raises `TimeoutError`."""
    deadline_s = time.monotonic() + PATIENCE_S
    wanted: dict[str, str | bool] = {"type": type, **members}
    while not any(wanted.items() <= record.items() for record in records(stack)):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"no line {wanted} in the audit within {PATIENCE_S:.0f} s")
        time.sleep(PAUSE_S)


def _http(stack: Stack, who: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(headers={"Authorization": f"Bearer {stack.keys[who]}"})


def _client(stack: Stack, http: httpx2.AsyncClient) -> Client:
    return Client(streamable_http_client(stack.url, http_client=http))

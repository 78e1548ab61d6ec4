"""A scripted session of three identities through the official MCP client, shown as tables."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from examples.demo.stack import Stack

CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("analyst", "crm__customer", {"customer_id": "c-1"}),
    ("analyst", "crm__update_customer", {"customer_id": "c-1", "email": "ada@new.test"}),
    ("analyst", "deploy__deploy", {"service": "web", "environment": "staging", "version": "1.4"}),
    ("engineer", "deploy__deploy", {"service": "web", "environment": "staging", "version": "1.4"}),
    ("engineer", "deploy__deploy", {"service": "web", "environment": "production", "version": "1.4"}),
    ("engineer", "deploy__service_log", {"service": "search"}),
    ("engineer", "deploy__service_log", {"service": "web"}),
    ("engineer", "crm__search_customers", {"query": "card 4111 1111 1111 1111"}),
    ("unknown", "crm__customer", {"customer_id": "c-1"}),
)
WIDTH = 150


async def session(stack: Stack) -> None:
    console = Console(width=WIDTH)
    shown: dict[str, set[str]] = {}
    answers: list[tuple[str, str, str, str]] = []
    for who, key in stack.keys.items():
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(stack.url, http_client=http)) as client,
        ):
            shown[who] = await _everything(client)
            for name, tool, arguments in CALLS:
                if name == who:
                    answers.append((who, tool, _brief(arguments), await _called(client, tool, arguments)))
    console.print(_lists(shown))
    console.print(_calls(answers))
    console.print(_audit(stack.audit_folder))


async def _everything(client: Client) -> set[str]:
    tools = {f"tool {each.name}" for each in (await client.list_tools()).tools}
    prompts = {f"prompt {each.name}" for each in (await client.list_prompts()).prompts}
    resources = {f"resource {each.uri}" for each in (await client.list_resources()).resources}
    templates = {f"template {each.uri_template}" for each in (await client.list_resource_templates()).resource_templates}
    return tools | prompts | resources | templates


async def _called(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        return f"[red]error {error.error.code}[/red] {escape(error.error.message)}"
    assert isinstance(result, CallToolResult)
    text = escape(" ".join(" ".join(block.text.split()) for block in result.content if isinstance(block, TextContent)))
    return f"[yellow]refused[/yellow] {text}" if result.is_error else f"[green]ok[/green] {text}"


def _lists(shown: dict[str, set[str]]) -> Table:
    table = Table(title="What each identity sees (same endpoint, same request)", title_justify="left")
    table.add_column("item")
    for who in shown:
        table.add_column(who, justify="center")
    for item in sorted(set().union(*shown.values())):
        table.add_row(item, *("yes" if item in shown[who] else "" for who in shown))
    return table


def _calls(answers: list[tuple[str, str, str, str]]) -> Table:
    table = Table(title="What each identity called, and what came back", title_justify="left")
    for column in ("who", "tool", "arguments", "answer"):
        table.add_column(column, overflow="fold")
    for row in answers:
        table.add_row(*row)
    return table


def _audit(folder: Path) -> Table:
    table = Table(title=f"The audit log ({folder.name}/*.jsonl), the calls only", title_justify="left")
    for column in ("record", "subject", "item", "outcome", "rules", "duties carried out", "decision", "revision"):
        table.add_column(column, overflow="fold")
    for record in _records(folder):
        if record["type"] not in {"intent", "outcome", "exchange"} or record.get("method") != "tools/call":
            continue
        decisions = record.get("decisions", [])
        table.add_row(
            record["type"],
            record["subject"]["id"].removesuffix("@example.com"),
            record.get("item", {}).get("public_name", ""),
            record.get("outcome", ""),
            " ".join([each["rule"] for each in record.get("denials", [])] or record.get("granted_by", [])),
            " ".join(_duty(each) for each in record.get("duties", [])),
            " ".join(each["decision_id"][:8] for each in decisions),
            " ".join(dict.fromkeys(str(each.get("revision", ""))[:8] for each in decisions)),
        )
    return table


def _duty(duty: dict[str, Any]) -> str:
    """`redact(card_field:2)`; the type alone where the code says the same once more."""
    words = ("" if duty["code"] == duty["type"] else duty["code"], str(duty.get("hits", "")))
    said = ":".join(word for word in words if word)
    return f"{duty['type']}({said})" if said else str(duty["type"])


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.jsonl")):
        with file.open() as lines:
            yield from (json.loads(line) for line in lines)


def _brief(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())

"""A scripted session of three identities through the official MCP client, shown as tables."""

import json
import shutil
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
ROOMY_COLUMNS = 140  # what a table of all that an audit record says needs
LOG_COLUMNS = ROOMY_COLUMNS  # where no terminal says how wide it is
ARGUMENT_COLUMNS = 23  # one of the longest


async def session(stack: Stack) -> None:
    console = Console(width=shutil.get_terminal_size((LOG_COLUMNS, 24)).columns)
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
    roomy = console.width >= ROOMY_COLUMNS
    console.print(_calls(answers, roomy=roomy))
    console.print(_audit(stack.audit_folder, roomy=roomy))


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


def _calls(answers: list[tuple[str, str, str, str]], *, roomy: bool) -> Table:
    table = Table(title="What each identity called, and what came back", title_justify="left")
    for column in ("who", "tool"):
        table.add_column(column, no_wrap=True)
    table.add_column("arguments", overflow="fold", max_width=None if roomy else ARGUMENT_COLUMNS)
    table.add_column("answer", overflow="fold")
    for row in answers:
        table.add_row(*row)
    return table


def _audit(folder: Path, *, roomy: bool) -> Table:
    """Where there is little room, rules and duties share a column, and the revision is left to the file."""
    table = Table(title=f"The audit log ({folder.name}/*.jsonl), the calls only", title_justify="left")
    folded = ("rules", "duties carried out") if roomy else ("rules, duties",)
    for column in ("record", "subject", "item", "outcome", *folded, "decision", *(["revision"] if roomy else [])):
        table.add_column(column, no_wrap=column not in folded, overflow="fold")
    for record in _records(folder):
        if record["type"] not in {"intent", "outcome", "exchange"} or record.get("method") != "tools/call":
            continue
        rules = " ".join([each["rule"] for each in record.get("denials", [])] or record.get("granted_by", []))
        duties = " ".join(_duty(each) for each in record.get("duties", []))
        decisions = record.get("decisions", [])
        revision = " ".join(dict.fromkeys(str(each.get("revision", ""))[:8] for each in decisions))
        table.add_row(
            record["type"],
            record["subject"]["id"].removesuffix("@example.com"),
            record.get("item", {}).get("public_name", ""),
            record.get("outcome", ""),
            *((rules, duties) if roomy else (f"{rules} {duties}".strip(),)),
            "\n".join(each["decision_id"][:8] for each in decisions),
            *([revision] if roomy else []),
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

"""Calls as an attacker or an honest user makes them, as the documents that the gateway asks: with its own parser of arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.model import Resource
from gateway.policy.extract import Declared, declarations, extracted
from gateway.policy.unknown_arguments import unknown_arguments
from tests.policies.demo import NOW_NS, PINNED, ROOT, asked, resource

LIBRARY = ROOT / "library"
RULES = tuple(sorted(path.stem for path in (LIBRARY / "policies/mcp/org").glob("*.rego")))
Case = str | dict[str, Any]
S_NS = 1_000_000_000

ITEMS: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load("""
warehouse:
  query: {labels: [safe], extract: {statement: {kind: sql, dialect: postgres}}}
  mysql: {labels: [safe], extract: {statement: {kind: sql, dialect: mysql}}}
  tsql: {labels: [safe], extract: {statement: {kind: sql, dialect: tsql}}}
  oracle: {labels: [safe], extract: {statement: {kind: sql, dialect: oracle}}}
  snowflake: {labels: [safe], extract: {statement: {kind: sql, dialect: snowflake}}}
  duckdb: {labels: [safe], extract: {statement: {kind: sql, dialect: duckdb}}}
files:
  read: {labels: [safe], extract: {path: {kind: path, roots: [/srv/data, /srv/private], base: /srv/data}}}
  search: {labels: [safe], extract: {/options/in/*: {kind: path, roots: [/srv/data]}}}
web:
  fetch: {labels: [safe], extract: {url: {kind: url}}}
mail:
  send: {labels: [writes], extract: {to: {kind: address}, cc: {kind: address}}}
chat:
  post: {labels: [writes]}
office:
  lookup: {labels: [safe]}
  edit: {labels: [writes]}
  wipe: {labels: [destructive]}
  pay: {labels: [writes, payments]}
  failover: {labels: [writes, emergency]}
  people: {labels: [safe, personal]}
  nobody_looked: {labels: []}
""")


@dataclass(frozen=True)
class Table:
    """What an attack on one rule looks like, and what must not be taken for one."""

    rule: str
    tool: str  # "warehouse/query"
    hostile: Mapping[str, Case]  # a text stands for the argument; an object says more
    innocent: Mapping[str, Case]
    argument: str = ""
    verb: str = "deny"
    base: dict[str, Any] = field(default_factory=dict)  # what all cases share
    settings: dict[str, Any] | None = None  # in the place of those that the library shows


def document(table: Table, case: Case) -> dict[str, Any]:
    """The question about one case."""
    told = table.base | ({"arguments": {table.argument: case}} if isinstance(case, str) else case)
    backend, name = told.get("tool", table.tool).split("/")
    arguments = told.get("arguments", {})
    asks = asked(
        told.get("groups", []),
        [resource("tool", backend, name) | told.get("resource", {})],
        "result" if "result" in told else "request",
    )
    asks |= {"arguments": arguments, "unknown_arguments": list(unknown_arguments(told.get("schema", {}), arguments))}
    asks["context"]["time_ns"] = told.get("time_ns", NOW_NS)
    asks["subject"] |= told.get("subject", {})
    if "result" in told:
        asks["result"] = told["result"]
    declared = _declared(backend, name)
    if declared:
        asks["extracted"] = extracted(declared, arguments)
    return asks


def facts() -> dict[str, Any]:
    """The tools above, reviewed, for everybody."""
    return {
        backend: {"tool": {name: said | {"fingerprint": PINNED} for name, said in tools.items()}}
        for backend, tools in ITEMS.items()
    }


def _declared(backend: str, name: str) -> tuple[Declared, ...]:
    known = declarations({"items": facts()}, "r1")
    return known.of(Resource("tool", public_name=name, backend=backend, name=name))

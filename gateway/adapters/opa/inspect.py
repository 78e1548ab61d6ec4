"""What OPA does not check and we do, on the parsed modules and the data files of a snapshot."""

import asyncio
import difflib
import zoneinfo
from functools import lru_cache
from pathlib import PurePosixPath

import msgspec

from gateway.adapters.opa.command import OpaUnusable, run
from gateway.adapters.opa.findings import Finding
from gateway.adapters.opa.snapshot import Snapshot
from gateway.model import Json, JsonObject
from gateway.policy import fact_names, facts, structure
from gateway.policy.contract import VERSION_1, Contract
from gateway.policy.rego import PARSE

FACTS = "mcp/facts/"
FACTS_SCHEMA = "facts.json"
UNKNOWN_ZONES = ("eval", "--format", "raw", "--stdin-input", "[zone | some zone in input; not time.clock([0, zone])]")
"""Of a list of names those by which this OPA knows no time zone: it is the one that will be asked."""


async def findings(binary: str, copy: Snapshot, contract: Contract = VERSION_1) -> tuple[Finding, ...]:
    """What is wrong with the structure of the rules, with the data files and with the facts."""
    texts: dict[str, str] = {}
    unreadable = []
    for name, text in copy.texts.items():
        try:
            texts[name] = text.decode()
        except UnicodeDecodeError as error:
            unreadable.append(Finding(name, text[: error.start].count(b"\n") + 1, "is not UTF-8"))
    rules = {name: text for name, text in texts.items() if name.endswith(".rego")}
    data = {name: text for name, text in texts.items() if name not in rules}
    trees = await parsed(binary, rules)
    # The checks below hold the interpreter for tens of milliseconds: in a thread, decisions go on between their steps.
    structural = await asyncio.to_thread(structure.check, rules, trees, tuple(data), contract.of_the_call)
    factual = await asyncio.to_thread(_data_findings, tuple(sorted(data.items())), copy.schema(FACTS_SCHEMA), _names(rules))
    unknown = () if factual else await _unknown_zones(binary, data, copy.schema(FACTS_SCHEMA))
    return (*unreadable, *structural, *factual, *unknown)


async def parsed(binary: str, rules: dict[str, str]) -> dict[str, Json]:
    """Every module's syntax tree, from one OPA process; a module that does not parse is left out (the check tells of it)."""
    done = await run(binary, PARSE, stdin=msgspec.json.encode(rules))
    if done.status != 0:
        raise OpaUnusable(f"opa eval failed: {done.stderr.decode(errors='backslashreplace')[:500]}")
    try:
        trees = msgspec.json.decode(done.stdout)
    except msgspec.DecodeError as error:
        raise OpaUnusable(f"opa eval gave no syntax trees: {error}") from error
    if not isinstance(trees, dict):
        raise OpaUnusable("opa eval gave no syntax trees")
    return trees


def _names(rules: dict[str, str]) -> frozenset[str]:
    """What facts may call the rules: org/<rule>, servers/<backend>/<rule>."""
    paths = (PurePosixPath(name).with_suffix("").parts for name in rules)
    return frozenset("/".join(parts[1:]) for parts in paths if parts[:2] in {("mcp", "org"), ("mcp", "servers")})


@lru_cache(maxsize=4)  # an edit of rules alone checks the facts again for nothing
def _data_findings(data: tuple[tuple[str, str], ...], schema: bytes | None, rules: frozenset[str]) -> tuple[Finding, ...]:
    told = {name: text for name, text in data if name.startswith(FACTS)}
    found = [finding for name, text in data if name not in told for finding in structure.check_yaml(name, text)]
    if schema is None:
        return (*found, Finding(FACTS_SCHEMA, 1, "is missing from the folder of schemas: facts cannot be checked without it"))
    try:
        closed: JsonObject = msgspec.json.decode(schema, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return (*found, Finding(FACTS_SCHEMA, 1, f"is not a JSON Schema: {error}"))
    return (*found, *facts.facts(told, closed, rules=rules))


async def _unknown_zones(binary: str, data: dict[str, str], schema: bytes | None) -> tuple[Finding, ...]:
    """A zone that is misspelt is an error of every decision that hangs on it: nothing with its label could be called."""
    told = {name: text for name, text in data.items() if name.startswith(FACTS)}
    zones = await asyncio.to_thread(fact_names.named, told, msgspec.json.decode(schema or b"{}", type=dict), "zone")
    if not zones:
        return ()
    done = await run(binary, UNKNOWN_ZONES, stdin=msgspec.json.encode(sorted({each.text for each in zones})))
    try:
        unknown = frozenset(msgspec.json.decode(done.stdout, type=list[str]))
    except msgspec.DecodeError as error:
        raise OpaUnusable(f"opa eval did not say which time zones it knows: {error}") from error
    return tuple(
        Finding(each.file, each.line, f"{each.path} is {each.text!r}, which is no time zone{_meant(each.text)}")
        for each in zones
        if each.text in unknown
    )


def _meant(zone: str) -> str:
    close = difflib.get_close_matches(zone, sorted(zoneinfo.available_timezones()), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""

"""Rules that come with the gateway to be copied: a copy is the team's own, with its test, its settings and their schema.

Nothing that a repository has is overwritten. The settings are those that the library shows: whoever copies writes their own.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from gateway.lifecycle.making.repository import NotMade
from gateway.lifecycle.repository import POLICIES, SCHEMAS, TESTS
from gateway.policy.facts import whole
from gateway.shipped import SHIPPED

PREFIX = "library:"
RULES = f"{POLICIES}/mcp/org"
FACTS = f"{POLICIES}/mcp/facts"
SHARED_RULES = f"{POLICIES}/mcp/lib"
SCHEMA = f"{SCHEMAS}/facts.json"
TITLE = re.compile(r"^# title: (.+)$", re.M)
SHARED = re.compile(r"^import data\.mcp\.lib\.(\w+)$", re.M)


@dataclass(frozen=True, slots=True)
class Offered:
    rule: str
    title: str


@dataclass(frozen=True, slots=True)
class Copied:
    """What was written, by its path from the repository's root."""

    rule: str
    files: tuple[str, ...]
    settings: str  # the file with the settings of the library; "": it has none, or the facts had some
    schema_grew: bool  # the repository's schema of facts did not know these settings
    shared: tuple[str, ...] = ()  # of the files: what rules share, which the repository was made without
    lines: str = ""  # what to say in facts that live elsewhere, as YAML


def offered() -> tuple[Offered, ...]:
    """Every rule of the library, by name."""
    found = []
    for path in sorted((SHIPPED.library / RULES).glob("*.rego")):
        title = TITLE.search(path.read_text())
        found.append(Offered(path.stem, title[1].strip("'\"") if title else ""))
    return tuple(found)


def copy(root: Path, rule: str) -> Copied:
    """Copy a rule with all that belongs to it into the repository at `root`. Raises `NotMade`, and then nothing was written."""
    if rule not in (known := [each.rule for each in offered()]):
        raise NotMade(f"the library has no rule {rule!r}; it has {', '.join(known)}")
    try:
        files = _files(root, rule)
        shared = _shared(root, files[f"{RULES}/{rule}.rego"])
        told = f"{FACTS}/settings/{rule}/data.yaml"
        settings = told if told in files else ""
        grown = _grown_schema(root, rule) if settings else None
        lines = ""
        if settings and not (root / FACTS).is_dir():
            lines, settings = _said(rule, files.pop(told).decode()), ""
        if grown is not None:
            files[SCHEMA] = grown
        files |= shared
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(text)
    except OSError as error:
        raise NotMade(f"cannot be written: {error}") from error
    return Copied(rule, tuple(files), settings, grown is not None, tuple(shared), lines)


def _said(rule: str, text: str) -> str:
    """The settings as lines for facts of any file."""
    return "\n".join(["settings:", f"  {rule}:", *(f"    {line}".rstrip() for line in text.splitlines())])


def _files(root: Path, rule: str) -> dict[str, bytes]:
    names = (f"{RULES}/{rule}.rego", f"{TESTS}/mcp/org/{rule}_test.rego", f"{FACTS}/settings/{rule}/data.yaml")
    files = {name: (SHIPPED.library / name).read_bytes() for name in names if (SHIPPED.library / name).is_file()}
    if names[2] in files and rule in _settings(root):
        del files[names[2]]
    for name in files:
        if (root / name).exists():
            raise NotMade(f"{name} exists already")
    return files


def _shared(root: Path, importing: bytes) -> dict[str, bytes]:
    """What a file imports and the repository lacks, with what that imports, and their tests. What it has is its own."""
    files: dict[str, bytes] = {}
    waiting = SHARED.findall(importing.decode())
    for name in waiting:
        rule, test = f"{SHARED_RULES}/{name}.rego", f"{TESTS}/mcp/lib/{name}_test.rego"
        if rule in files or (root / rule).exists():
            continue
        files[rule] = (SHIPPED.policies.parent / rule).read_bytes()
        waiting += SHARED.findall(files[rule].decode())
        if not (root / test).exists():
            files[test] = (SHIPPED.tests.parent / test).read_bytes()
    return files


def _settings(root: Path) -> Iterable[str]:
    """The rules for which the repository's facts have settings, wherever they stand."""
    paths = [path for path in (root / FACTS).rglob("data.*") if path.suffix in {".json", ".yaml", ".yml"}]
    try:
        told = whole({path.relative_to(root / POLICIES).as_posix(): path.read_text() for path in paths}).get("settings")
    except (ValueError, yaml.YAMLError) as error:
        raise NotMade("the facts cannot be read: `mcp-gateway policy check` says why") from error
    return told if isinstance(told, dict) else ()


def _grown_schema(root: Path, rule: str) -> bytes | None:
    """The repository's schema of facts with these settings in it; None: it knows them."""
    shipped = json.loads((SHIPPED.schemas / "facts.json").read_text())["properties"]["settings"]
    try:
        own = json.loads((root / SCHEMA).read_text())
        known = own["properties"].setdefault("settings", {**shipped, "properties": {}})["properties"]
        if rule in known:
            return None
        known[rule] = shipped["properties"][rule]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotMade(f"{SCHEMA} is not the schema of facts that a repository is made with") from error
    return (json.dumps(own, indent=2, ensure_ascii=False) + "\n").encode()

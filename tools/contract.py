"""Compare the schemas of the policy contract with the released ones: `python -m tools.contract` prints what would break users.

Every version that the gateway serves is compared with its own: its schemas are in the folder that `gateway.policy.contract`
names, the newest version's in schemas/ itself. `python -m tools.contract --release` makes today's schemas the released ones of
their version: additions become promises. A change that breaks needs a new version, `schemas/released/v<n>`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.policy.contract import SERVED, Contract, Contracts

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
RELEASED = SCHEMAS / "released"
Use = Literal["read", "written", "both"]
"""What policy authors do with a document. Input is both: rules read it, and tests and canaries hold some."""
USES: dict[str, Use] = {"input": "both", "decision": "written", "facts": "both"}

UPPER = ("maxLength", "maxItems", "maxProperties", "maximum")  # smaller is narrower
LOWER = ("minLength", "minItems", "minProperties", "minimum")
EXACT = ("pattern", "const", "not", "if", "then", "else", "dependentSchemas", "prefixItems", "format", "contains")
TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
CONDITIONS = ("if", "then", "else")
LISTS = ("oneOf", "anyOf", "allOf")


@dataclass(frozen=True, slots=True)
class Pair:
    """A released schema and today's, each with the document that its references are in."""

    old: Any
    new: Any
    old_root: Any
    new_root: Any
    use: Use
    path: str = ""
    seen: tuple[tuple[int, int], ...] = ()

    def below(self, old: Any, new: Any, name: str) -> "Pair":
        own = (id(self.old), id(self.new))
        return Pair(old, new, self.old_root, self.new_root, self.use, f"{self.path}.{name}".lstrip("."), (*self.seen, own))


def version(folder: Path = SCHEMAS) -> int:
    """Of the contract that the schemas in a folder describe."""
    said = json.loads((folder / "input.json").read_text())["properties"]["version"]["const"]
    assert isinstance(said, int)
    return said


def breaks(released: Any, today: Any, use: Use) -> tuple[str, ...]:
    """What was promised and no longer holds, one sentence each."""
    return tuple(dict.fromkeys(_breaks(Pair(released, today, released, today, use))))


def _breaks(pair: Pair) -> Iterator[str]:
    old, new = _resolved(pair.old, pair.old_root), _resolved(pair.new, pair.new_root)
    pair = Pair(old, new, pair.old_root, pair.new_root, pair.use, pair.path, pair.seen)
    where = pair.path or "the document"
    if (id(old), id(new)) in pair.seen or old == new == {}:
        return
    if isinstance(old, bool) or isinstance(new, bool):
        if new is False and old is not False:
            yield f"{where} may no longer be there"
        elif old is True and new not in (True, {}):
            yield f"{where} is narrower than any value"
        return
    yield from _values(old, new, where, pair.use)
    yield from _members(pair)
    if "items" in old or "items" in new:
        yield from _breaks(pair.below(old.get("items", True), new.get("items", True), "[]"))
    for keyword in LISTS:
        yield from _alternatives(pair, keyword)


def _values(old: Any, new: Any, where: str, use: Use) -> Iterator[str]:
    before, after = _types(old), _types(new)
    if before - after:
        yield f"{where} may no longer be {', '.join(sorted(before - after))}"
    if use != "written" and after - before:
        yield f"{where} may now be {', '.join(sorted(after - before))}: rules that read it do not expect that"
    if "enum" in new:
        lost = [value for value in old.get("enum", ["any value"]) if value not in new["enum"]]
        if lost:
            yield f"{where} may no longer be {', '.join(map(str, lost))}"
    for name in UPPER:
        if name in new and new[name] < old.get(name, float("inf")):
            yield f"{where}: {name} is narrower"
    for name in LOWER:
        if name in new and new[name] > old.get(name, 0 if name != "minimum" else float("-inf")):
            yield f"{where}: {name} is narrower"
    if new.get("uniqueItems") is True and old.get("uniqueItems") is not True:
        yield f"{where}: uniqueItems is narrower"
    for name in EXACT:
        if name in CONDITIONS and _is_about_new_members(old, new):
            continue
        if name in new and new[name] != old.get(name):
            yield f"{where}: {name} is new or another"
        elif name == "const" and name in old and name not in new:
            yield f"{where}: const is gone"


def _is_about_new_members(old: Any, new: Any) -> bool:
    """Whether a condition that was not there holds only where a member is that was not known: nobody's document has it."""
    known = old.get("properties", {})
    if "if" in old or old.get("additionalProperties", True) is not False:
        return False
    otherwise = new.get("else", {})
    return any(name not in known for name in new.get("if", {}).get("required", [])) and (
        otherwise.keys() <= {"properties"} and not otherwise.get("properties", {}).keys() & known.keys()
    )


def _types(schema: Any) -> frozenset[str]:
    said = schema.get("type")
    if said is None:
        return TYPES
    kinds = frozenset([said] if isinstance(said, str) else said)
    return kinds | {"integer"} if "number" in kinds else kinds


def _members(pair: Pair) -> Iterator[str]:
    old, new, where = pair.old, pair.new, pair.path or "the document"
    members, now = old.get("properties", {}), new.get("properties", {})
    for name, schema in members.items():
        if name in now:
            yield from _breaks(pair.below(schema, now[name], name))
        elif new.get("additionalProperties", True) is False and schema is not False:
            yield f"{where}.{name} is gone".removeprefix("the document.")
        elif pair.use != "written" and schema is not False:
            yield f"{where}.{name} is no longer described".removeprefix("the document.")
    if old.get("type") == "object" and old.get("additionalProperties", True) is not False:
        for name in now.keys() - members.keys():
            yield from _breaks(pair.below(old.get("additionalProperties", True), now[name], name))
    for name in [name for name in new.get("required", []) if name not in old.get("required", [])]:
        yield f"{where} must now have {name}"
    if pair.use != "written":
        for name in [name for name in old.get("required", []) if name not in new.get("required", [])]:
            yield f"{where} may now lack {name}, which rules rely on"
    for keyword, name in (("additionalProperties", "*"), ("propertyNames", "names")):
        yield from _breaks(pair.below(old.get(keyword, True), new.get(keyword, True), name))


def _alternatives(pair: Pair, keyword: str) -> Iterator[str]:
    old, new, where = pair.old.get(keyword), pair.new.get(keyword), pair.path or "the document"
    if new is None or old == new:
        return
    if old is None or len(new) < len(old):
        yield f"{where}: {keyword} leaves less"
        return
    if keyword == "allOf" and len(new) > len(old):
        yield f"{where}: {keyword} demands more"
    for number, (before, after) in enumerate(zip(old, new, strict=False)):
        yield from _breaks(pair.below(before, after, f"{keyword}[{number}]"))


def _resolved(schema: Any, root: Any) -> Any:
    while isinstance(schema, dict) and "$ref" in schema:
        target = root
        for token in schema["$ref"].removeprefix("#/").split("/"):
            target = target[token.replace("~1", "/").replace("~0", "~")]
        schema = target
    return schema


def found(contract: Contract, schemas: Path = SCHEMAS) -> tuple[str, ...]:
    """What the schemas of a version break of those that were released for it, or do not say at all."""
    folder, released = schemas / contract.schemas, schemas / "released" / f"v{contract.version}"
    if not (folder / "input.json").is_file():
        return (f"{contract.schemas}: there are no schemas of version {contract.version}, which the gateway serves",)
    if version(folder) != contract.version:
        return (f"{contract.schemas}: describes version {version(folder)}, and is that of version {contract.version}",)
    told = []
    for name, use in USES.items():
        today = json.loads((folder / f"{name}.json").read_text())
        if released.is_dir():
            told += [f"{name}.json: {each}" for each in breaks(json.loads((released / f"{name}.json").read_text()), today, use)]
    return tuple(told)


def main(arguments: list[str], contracts: Contracts = SERVED, schemas: Path = SCHEMAS) -> int:
    told = {number: found(contract, schemas) for number, contract in sorted(contracts.items())}
    for number, broken in told.items():
        for each in broken:
            print(each)
        if broken:
            print(f"version {number} promises otherwise (docs/input.md): undo it, or begin a new version")
    if any(told.values()):
        return 1
    for contract in contracts.values() if arguments == ["--release"] else ():
        released = schemas / "released" / f"v{contract.version}"
        released.mkdir(parents=True, exist_ok=True)
        for name in USES:
            (released / f"{name}.json").write_bytes((schemas / contract.schemas / f"{name}.json").read_bytes())
        print(f"released as version {contract.version}: {', '.join(USES)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where each rule stands and what it is called: an answer names package and code, a reader wants file, line and title."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.adapters.opa.command import OpaUnusable, run
from gateway.adapters.opa.snapshot import Snapshot
from gateway.model import Json, JsonObject
from gateway.policy import rego
from gateway.policy.rego import Module
from gateway.policy.structure import EXISTENCE, VERBS, referred

FACTS = "facts/blocks"  # as the entrypoint calls what the facts block
TIME = ("input", "context", "time_ns")
OF_THE_CALL = (("context", "time_ns"), ("context", "approvals"))  # what a context holds that is not of the one who asks
REFUSING = frozenset({"deny", "withhold"})


@dataclass(frozen=True, slots=True)
class Body:
    """One rule that speaks with a verb. `title` and `code` are empty where its METADATA names none."""

    verb: str
    code: str
    title: str
    line: int


@dataclass(frozen=True, slots=True)
class Package:
    """One file of rules; `name` as decisions call it (`servers/crm/changes`), `file` relative to the folder of the policies."""

    name: str
    file: str
    title: str
    line: int
    bodies: tuple[Body, ...]
    says: frozenset[str]  # every constant text in it
    timely: bool = False  # whether something exists may hang on the time
    personal: bool = True  # whether refusals may hang on who asks

    @property
    def reference(self) -> str:
        return "data.mcp." + self.name.replace("/", ".")

    def with_verb(self, verb: str) -> tuple[Body, ...]:
        return tuple(body for body in self.bodies if body.verb == verb)


@dataclass(frozen=True, slots=True)
class Rules:
    packages: Mapping[str, Package]
    _about: dict[tuple[str, str], tuple[Package, ...]] = field(default_factory=dict, repr=False, compare=False)
    kept_whole: tuple[str, ...] = ()  # references of rules that OPA must not dissolve: it panics where a negated one has `every`

    def about(self, backend: str, verb: str) -> tuple[Package, ...]:
        """The packages that may say `verb` about items of `backend`: the organisation's and its own."""
        if (backend, verb) not in self._about:
            owners = ("org/", f"servers/{backend}/")
            found = (package for name, package in self.packages.items() if name.startswith(owners) and package.with_verb(verb))
            self._about[backend, verb] = tuple(found)
        return self._about[backend, verb]


async def rules(binary: str, copy: Snapshot) -> Rules:
    """The rules of a set that compiles. Raises `OpaUnusable`."""
    sources = {name: text.decode("utf-8", "replace") for name, text in copy.texts.items() if name.endswith(".rego")}
    trees = await _json(binary, rego.PARSE, stdin=msgspec.json.encode(sources))
    notes = await _json(binary, ("inspect", "--annotations", "--format", "json", str(copy.policies)))
    titles = _titles(notes)
    packages = {}
    kept_whole: list[str] = []
    modules = [rego.module(file, source, trees[file]) for file, source in sources.items() if file in trees]
    for module in modules:
        file = module.file
        kept_whole += (f"data.{'.'.join(module.package)}.{name}" for name in _with_every(trees[file]))
        if module.package[:2] in (("mcp", "org"), ("mcp", "servers")):
            name = "/".join(module.package[1:])
            bodies = tuple(_body(rule) for rule in module.rules if rule.name in VERBS)
            title = titles.get(".".join(module.package), "")
            says = frozenset(_texts(trees[file]))
            timely = any(path[: len(TIME)] == TIME[: len(path)] for path in _read(module, EXISTENCE, modules))
            personal = any(_of_the_asker(path) for path in _read(module, REFUSING, modules))
            packages[name] = Package(name, file, title, module.package_line, bodies, says, timely, personal)
    return Rules(packages, kept_whole=tuple(dict.fromkeys(kept_whole)))


def _body(rule: rego.Rule) -> Body:
    title, custom = rule.metadata.get("title"), rule.metadata.get("custom")
    code = custom.get("code") if isinstance(custom, dict) else None
    return Body(rule.name, code if isinstance(code, str) else "", title if isinstance(title, str) else "", rule.line)


def _read(module: Module, verbs: Collection[str], modules: Sequence[Module]) -> Iterator[tuple[str, ...]]:
    """Every reference in the rules of these names, and in whatever they refer to."""
    waiting = [(module, rule) for rule in module.rules if rule.name in verbs]
    seen: set[tuple[str, int, str]] = set()
    while waiting:
        owner, rule = waiting.pop()
        key = (owner.file, rule.line, rule.name)
        if key not in seen:
            seen.add(key)
            yield from rule.references
            waiting.extend(each for path in rule.references for each in referred(owner, path, modules))


def _of_the_asker(path: tuple[str, ...]) -> bool:
    if path[:1] != ("input",):
        return False
    return len(path) == 1 or path[1] in ("subject", "agent") or (path[1] == "context" and path[1:3] not in OF_THE_CALL)


def _titles(told: Mapping[str, Json]) -> dict[str, str]:
    """Titles of packages: `mcp.org.reviewed` -> title."""
    found = {}
    annotated = told.get("annotations")
    for one in annotated if isinstance(annotated, list) else ():
        said = one.get("annotations") if isinstance(one, dict) else None
        path = one.get("path") if isinstance(one, dict) else None
        if isinstance(said, dict) and isinstance(path, list) and isinstance(title := said.get("title"), str):
            parts = [part.get("value") for part in path if isinstance(part, dict)]
            if said.get("scope") in ("package", "subpackages"):
                found[".".join(str(part) for part in parts[1:])] = title
    return found


def _with_every(tree: Json) -> Sequence[str]:
    """The rules of a module that have an `every`, but for the verbs: nothing negates those."""
    found = []
    listed = tree.get("rules") if isinstance(tree, dict) else None
    for rule in listed if isinstance(listed, list) else ():
        head = rule.get("head") if isinstance(rule, dict) else None
        name = head.get("name") if isinstance(head, dict) else None
        if isinstance(name, str) and name not in VERBS and any("domain" in part and "body" in part for part in _objects(rule)):
            found.append(name)
    return found


def _objects(node: Json) -> Iterator[JsonObject]:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _texts(tree: Json) -> Iterator[str]:
    for part in _objects(tree):
        if part.get("type") == "string" and isinstance(value := part.get("value"), str):
            yield value


async def _json(binary: str, arguments: Sequence[str], *, stdin: bytes = b"") -> JsonObject:
    done = await run(binary, arguments, stdin=stdin)
    if done.status != 0:
        raise OpaUnusable(f"opa {arguments[0]} failed: {done.stderr.decode(errors='backslashreplace')[:500]}")
    try:
        told: JsonObject = msgspec.json.decode(done.stdout, type=dict)
    except msgspec.DecodeError as error:
        raise OpaUnusable(f"opa {arguments[0]} gave no JSON object: {error}") from error
    return told

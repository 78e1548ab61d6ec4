"""The rules of a policy set as its text has them: who can speak with which verb and code, and what that hangs on.

Read from the syntax trees that OPA makes, never from what a rule said once: a rule that is silent is in it, too.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from gateway.adapters.opa import inspect
from gateway.adapters.opa.snapshot import Snapshot
from gateway.policy import rego
from gateway.policy.rego import Guard, Module, Path, Rule, Step
from gateway.policy.structure import LOADER, VERBS, referred
from gateway.shipped import SHIPPED

OF_THE_CALL = (("input", "arguments"), ("input", "extracted"), ("input", "result"), ("input", "unknown_arguments"))
"""What a recording may hold stand-ins for. `allow` and `hide` cannot reach it."""

ANY = "any"  # stands for a verb: asked in every phase

OF_FRAME: tuple[Path, ...] = (("version",), ("action", "phase"), ("resources",), ("subject", "groups"))
"""What the shipped entrypoint reads of a document, besides whether arguments, result and time are of their types."""
OF_EXCEPTIONS: tuple[Path, ...] = (
    *(("subject", "issuer"), ("subject", "id"), ("subject", "actors"), ("subject", "credential")),
    *(("agent", "id"), ("context", "time_ns")),
)
"""What it reads where there are waivers or blocks."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One rule with one of the five verbs."""

    verb: str
    code: str  # "": the verb has none (allow, hide), or its METADATA lacks it
    title: str
    file: str
    line: int
    reads: tuple[Path, ...]  # of the call, without `input`: what its finding hangs on


@dataclass(frozen=True, slots=True)
class Hearing:
    """What one step of a rule depends on, and the guard that ends the rule where it fails."""

    hears: tuple[Path, ...]  # of the document, without `input`, with all that the step refers to
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule with one of the five verbs, step by step."""

    verb: str  # or `ANY`
    steps: tuple[Hearing, ...]


@dataclass(frozen=True, slots=True)
class RulePackage:
    """One file of rules. `name` is how decisions call it: `servers/crm/changes`."""

    name: str
    voices: tuple[Voice, ...]
    digest: str  # of its text, and of all other text that it refers to
    hears: tuple[Path, ...] = ()  # of the document, without `input`: everything that its words can depend on
    clauses: tuple[Clause, ...] = ()  # the same, step by step, for whoever asks for the verbs alone
    spoken: Mapping[str, str] = field(default_factory=dict)  # verb (or `ANY`) -> digest of its rules and what they refer to

    def reads(self, code: str, verbs: tuple[str, ...]) -> tuple[Path, ...]:
        """What a finding with this code hangs on; of a code that no METADATA has, everything that the package reads."""
        voices = [each for each in self.voices if each.verb in verbs]
        named = [each for each in voices if each.code == code] or voices
        return tuple(dict.fromkeys(path for each in named for path in each.reads))


@dataclass(frozen=True, slots=True)
class Ruleset:
    packages: Mapping[str, RulePackage] = field(default_factory=dict)
    frame: str = ""  # digest of what every rule hangs on: the entrypoint and the facts
    hears: tuple[Path, ...] = ((),)  # what the entrypoint itself depends on; `()` is the whole document
    shipped: bool = False  # the entrypoint is the shipped one: of a package it asks the five verbs, each in its phases
    ground: str = ""  # digest of all that is no rule: entrypoint, library, facts and any other data


async def ruleset(binary: str, copy: Snapshot) -> Ruleset:
    """The rules in a snapshot that compiles. Raises `OpaUnusable`."""
    sources = {name: text.decode("utf-8", "replace") for name, text in copy.texts.items() if name.endswith(".rego")}
    trees = await inspect.parsed(binary, sources)
    modules = [rego.module(name, source, trees[name]) for name, source in sources.items() if name in trees]
    frame = {name: text for name, text in copy.texts.items() if name.startswith(("mcp/authz", "mcp/facts/"))}
    spoken = [module for module in modules if _of_rules(module)]
    files = {module.file for module in spoken}
    shipped = _shipped_entrypoint(copy, modules)
    packages = {each.name: each for each in (_package(module, modules) for module in spoken)}
    return Ruleset(
        packages,
        _digest(frame.items()),
        _frame_hears(copy, modules, shipped) if len(packages) == len(spoken) else ((),),
        shipped and len(packages) == len(spoken),
        _digest(sorted((name, text) for name, text in copy.texts.items() if name not in files)),
    )


def _of_rules(module: Module) -> bool:
    return module.package[:2] in (("mcp", "org"), ("mcp", "servers"))


def _of_entrypoint(module: Module) -> bool:
    """What is neither rule nor library."""
    return not _of_rules(module) and module.package[:2] != ("mcp", "lib")


def _shipped_entrypoint(copy: Snapshot, modules: Sequence[Module]) -> bool:
    return all(_shipped(module.file) == copy.texts[module.file] for module in modules if _of_entrypoint(module))


def _frame_hears(copy: Snapshot, modules: Sequence[Module], shipped: bool) -> tuple[Path, ...]:
    """What the entrypoint reads; less of it where it is the shipped one, whose every use of the input is known here."""
    if shipped:
        return (*OF_FRAME, *(OF_EXCEPTIONS if _exceptions(copy) else ()))
    own = [(module, rule) for module in modules if _of_entrypoint(module) for rule in module.rules]
    unruled = [module for module in modules if not _of_rules(module)]
    below = [pair for module, rule in own for pair in _below(module, rule.references, unruled)]
    return _inputs(path for _, rule in (*own, *below) for path in rule.references)


def _shipped(file: str) -> bytes:
    path = SHIPPED.policies / file
    return path.read_bytes() if path.is_file() else b""


def _exceptions(copy: Snapshot) -> bool:
    """Whether there is a waiver or a block for which it matters who asks, and when."""
    for name, text in copy.texts.items():
        if name.startswith(("mcp/facts/waivers", "mcp/facts/blocks")):
            return True
        if name.startswith("mcp/facts/data."):
            told = yaml.load(text, Loader=LOADER)  # noqa: S506  # the safe one
            if not isinstance(told, dict) or told.get("waivers") or told.get("blocks"):
                return True
    return False


def _inputs(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path[1:] for path in paths if path[0] == "input"))


def _package(module: Module, modules: Sequence[Module]) -> RulePackage:
    owners = {module.file: module}
    for rule in module.rules:
        owners |= {owner.file: owner for owner, _ in _below(module, rule.references, modules)}
    texts = ((file, "\n".join(owner.source).encode()) for file, owner in sorted(owners.items()))
    voices = tuple(_voice(module, rule, modules) for rule in module.rules if rule.name in VERBS)
    below = [rule for _, rule in _below(module, [path for rule in module.rules for path in rule.references], modules)]
    hears = _inputs(path for rule in (*module.rules, *below) for path in rule.references)
    deep = len(module.package) == (3 if module.package[1] == "org" else 4)  # what is not, the entrypoint takes for other rules
    clauses = tuple(_clause(module, rule, modules) for rule in module.rules if rule.name in VERBS)
    whole = (Clause(ANY, (Hearing(hears),)),)
    digest = _digest(texts)
    spoken = (
        {verb: _spoken(module, verb, modules) for verb in dict.fromkeys(each.verb for each in clauses)} if deep else {ANY: digest}
    )
    return RulePackage("/".join(module.package[1:]), voices, digest, hears, clauses if deep else whole, spoken)


def _spoken(module: Module, verb: str, modules: Sequence[Module]) -> str:
    """Digest of all that the verb's answer follows from: syntax trees, what names in them stand for, and METADATA."""
    own = [(module, rule) for rule in module.rules if rule.name == verb]
    below = [pair for _, rule in own for pair in _below(module, rule.references, modules)]
    rules = {(owner.file, rule.digest) for owner, rule in (*own, *below)}
    owners = {owner.file: owner for owner, _ in (*own, *below)}
    names = [(file, repr(sorted(owner.imports.items())).encode()) for file, owner in sorted(owners.items())]
    comments = [
        (file, "\n".join(line for line in owner.source if "#" in line).encode()) for file, owner in sorted(owners.items())
    ]
    return _digest([*((file, tree.encode()) for file, tree in sorted(rules)), *names, *comments])


def _clause(module: Module, rule: Rule, modules: Sequence[Module]) -> Clause:
    return Clause(rule.name, tuple(Hearing(_heard(module, step, modules), step.guard) for step in rule.steps))


def _heard(module: Module, step: Step, modules: Sequence[Module]) -> tuple[Path, ...]:
    below = (path for _, inner in _below(module, step.references, modules) for path in inner.references)
    return _inputs((*step.references, *below))


def _voice(module: Module, rule: Rule, modules: Sequence[Module]) -> Voice:
    # A duty is also what it says; of a refusal only whether it speaks matters, and its words may quote what they like.
    roots = rule.references if rule.name == "oblige" else rule.conditions
    paths = [*roots, *(path for _, inner in _below(module, roots, modules) for path in inner.references)]
    title, custom = rule.metadata.get("title"), rule.metadata.get("custom")
    code = custom.get("code") if isinstance(custom, dict) else None
    return Voice(
        verb=rule.name,
        code=code if isinstance(code, str) else "",
        title=title if isinstance(title, str) else "",
        file=module.file,
        line=rule.line,
        reads=tuple(dict.fromkeys(path[1:] for path in paths if path[:2] in OF_THE_CALL)),
    )


def _below(module: Module, roots: Iterable[Path], modules: Sequence[Module]) -> Iterator[tuple[Module, Rule]]:
    """All rules that `roots` lead to, through whatever they refer to themselves."""
    waiting = [(module, path) for path in roots]
    seen: set[tuple[str, int, str]] = set()
    while waiting:
        owner, path = waiting.pop()
        for found, inner in referred(owner, path, modules):
            key = (found.file, inner.line, inner.name)
            if key not in seen:
                seen.add(key)
                yield found, inner
                waiting.extend((found, further) for further in inner.references)


def _digest(texts: Iterable[tuple[str, bytes]]) -> str:
    total = hashlib.sha256()
    for name, text in texts:
        total.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(text).digest())
    return total.hexdigest()

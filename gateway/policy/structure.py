"""What OPA does not check in a policy set and we do, because OPA would ignore it, or grant by it. Refused when it is loaded.

A rule joins by existing. So what exists must be what it seems: package = path, five verbs that are sets, data where data
belongs, and `allow` and `hide` that know nothing of the single call, or a list would show other items than a call finds.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from gateway.model import Json
from gateway.policy import rego
from gateway.policy.rego import Module, Path, Rule

VERBS = ("allow", "hide", "deny", "withhold", "oblige")
EXPLAINED = ("deny", "withhold", "oblige")  # verbs whose METADATA gives code and message
EXISTENCE = ("allow", "hide")
BACKEND = re.compile(r"[a-z][a-z0-9]{0,23}")
CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
DATA_ROOTS = ("mcp/facts/", "mcp/canaries/")
DATA_NAMES = ("data.json", "data.yaml", "data.yml")  # OPA ignores any other in a bundle
MAX_NUMBER = 40  # characters: no fact needs more, and from 4,300 digits on Python does not even print them

OF_THE_CALL: tuple[Path, ...] = (  # in version 1 of the contract
    ("input", "arguments"),
    ("input", "arguments_valid"),
    ("input", "unknown_arguments"),
    ("input", "extracted"),
    ("input", "result"),
    ("input", "action"),
    ("input", "context", "approvals"),
)
EXCHANGE: Path = ("input", "exchange")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and what to do about it. Lines begin at 1."""

    file: str
    line: int  # 0: it is about the whole file
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" if place else self.message


def check(
    sources: Mapping[str, str],
    asts: Mapping[str, Json],
    data_files: Collection[str],
    of_the_call: tuple[Path, ...] = OF_THE_CALL,
) -> tuple[Finding, ...]:
    """All findings, by file and line; none: the set may be loaded.

    Paths are relative to the root of the set, with `/`. `asts` is what `rego.PARSE` answered to `sources`; `of_the_call` is
    what `allow` and `hide` may not reach in the set's version of the contract.
    """
    modules: list[Module] = []
    found: list[Finding] = []
    for file, source in sources.items():
        if file not in asts:
            found.append(Finding(file, 1, "does not parse; `opa check` says where"))
            continue
        try:
            modules.append(rego.module(file, source, asts[file]))
        except ValueError:
            found.append(Finding(file, 1, "was parsed into something that this gateway does not understand"))
    for module in modules:
        found.extend(_place(module))
        found.extend(_contents(module))
        if _is_rule_package(module.package):
            found.extend(_verbs(module))
            found.extend(_reach(module, modules, of_the_call))
    found.extend(_data(data_files))
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (one.file, one.line, one.message)))


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML has it: ten times as fast, and facts may be long


def check_yaml(file: str, text: str) -> tuple[Finding, ...]:
    """Keys said twice (the first would be lost without a word), several documents, and what is no YAML. JSON is YAML too."""
    try:
        root = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return (Finding(file, mark.line + 1 if mark else 1, f"is no YAML: {error.problem or error.context}"),)
    except (yaml.YAMLError, RecursionError) as error:
        return (Finding(file, 1, f"is no YAML: {str(error).splitlines()[0] if str(error) else 'nested too deep'}"),)
    return tuple(_duplicates(file, root))


def _composed(text: str) -> yaml.Node | None:
    """libyaml reads, and where it stumbles PyYAML's own reader says where: its messages are the better ones."""
    try:
        return yaml.compose(text, Loader=LOADER)
    except (yaml.YAMLError, RecursionError):
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _is_rule_package(package: Path) -> bool:
    return package[:2] in (("mcp", "org"), ("mcp", "servers"))


def _place(module: Module) -> Iterator[Finding]:
    """Package = path, at the right depth, under a root that this gateway asks."""
    said, line = ".".join(module.package), module.package_line
    stem = tuple(module.file.removesuffix(".rego").split("/"))
    entry = stem[:-1] == module.package == ("mcp", "authz")  # the entrypoint may take several files
    if stem != module.package and not entry:
        yield Finding(
            module.file, line, f"declares package {said}; a file declares the package of its own path, {'.'.join(stem)}"
        )
    if stem[-1].endswith("_test"):
        yield Finding(module.file, line, "is a test; tests live outside the policy set, in policy_tests")
    if module.package[:2] == ("mcp", "org") and len(module.package) != 3:
        yield Finding(module.file, line, f"package {said} has the wrong depth and would be ignored; use mcp.org.<rule>")
    if module.package[:2] == ("mcp", "servers"):
        if len(module.package) != 4:
            yield Finding(
                module.file, line, f"package {said} has the wrong depth and would be ignored; use mcp.servers.<backend>.<rule>"
            )
        elif BACKEND.fullmatch(module.package[2]) is None:
            yield Finding(
                module.file,
                line,
                f"{module.package[2]!r} can be no backend's name: it is a small letter, then small letters and digits",
            )
    if module.package[:2] not in (("mcp", "authz"), ("mcp", "lib"), ("mcp", "org"), ("mcp", "servers")):
        yield Finding(
            module.file,
            line,
            f"package {said} is asked by nobody; rules live under mcp/org and mcp/servers, helpers under mcp/lib",
        )


def _contents(module: Module) -> Iterator[Finding]:
    """What no rule of the set may contain."""
    for rule in module.rules:
        if rule.template_string:
            line = module.line_of(rule, '$"', "$`")
            yield Finding(
                module.file, line, "template strings break when a bundle is optimised; use sprintf, or {names} in a title"
            )
        if rule.with_modifier:
            yield Finding(
                module.file, module.line_of(rule, " with "), "`with` replaces what is decided about; use it in tests only"
            )
        for path in rule.references:
            if path[:2] == EXCHANGE:
                line = module.line_of(rule, "input.exchange", '"exchange"')
                yield Finding(module.file, line, "input.exchange is for the decision log; no rule may read it")
    for alias, path in module.imports.items():
        if path[0] == "input":
            line = next((number for number, text in enumerate(module.source, 1) if text.startswith("import input")), 1)
            yield Finding(module.file, line, f"imports {'.'.join(path)} as {alias}; name the input where it is used")
    if module.package == ("mcp", "authz"):
        for rule in module.rules:
            if rule.name != "decision" and not rule.name.startswith("_"):
                yield Finding(module.file, rule.line, f"{rule.name} is public; mcp.authz has one entrypoint, decision")


def _verbs(module: Module) -> Iterator[Finding]:
    """Five names, each a partial set; all others private; and words for whoever is refused."""
    for rule in module.rules:
        if rule.name.startswith("_"):
            continue
        if rule.name not in VERBS:
            yield Finding(
                module.file,
                rule.line,
                f"{rule.name} would be ignored: a rule is one of {', '.join(VERBS)}, and a helper begins with _",
            )
        elif not rule.partial_set:
            yield Finding(
                module.file, rule.line, f"{rule.name} is no partial set and would be ignored; write `{rule.name} contains … if …`"
            )
        elif rule.name in EXPLAINED:
            yield from _wording(module, rule)


def _wording(module: Module, rule: Rule) -> Iterator[Finding]:
    title, custom = rule.metadata.get("title"), rule.metadata.get("custom")
    code = custom.get("code") if isinstance(custom, dict) else None
    if not isinstance(title, str) or not title.strip():
        yield Finding(
            module.file, rule.line, f"{rule.name} has no `title` in a METADATA comment right above it: the caller's message"
        )
    if not isinstance(code, str) or CODE.fullmatch(code) is None:
        yield Finding(
            module.file,
            rule.line,
            f"{rule.name} has no `custom.code` (small letters, digits, _) in a METADATA comment right above it",
        )


def _reach(module: Module, modules: Sequence[Module], of_the_call: tuple[Path, ...]) -> Iterator[Finding]:
    """What each verb reads, followed through the rules that it refers to."""
    for rule in module.rules:
        if rule.name not in VERBS:
            continue
        for owner, inner in _closure(module, rule, modules):
            for path in inner.references:
                problem = _unreadable(rule.name, path, of_the_call)
                if problem is None:
                    continue
                text = ".".join(path)
                if owner is module:
                    yield Finding(module.file, module.line_of(inner, f"{text}.", f"{text}[", text), f"`{rule.name}` {problem}")
                else:
                    through = f"{owner.file}:{owner.line_of(inner, text)}"
                    yield Finding(module.file, rule.line, f"`{rule.name}` {problem} (in {inner.name}, {through})")


def _unreadable(verb: str, path: Path, of_the_call: tuple[Path, ...]) -> str | None:
    """Why this verb may not read this path; None: it may. A path above a forbidden one gives it away too."""
    if path == ("input",):
        return "takes `input` whole; name the parts it reads"
    if verb not in EXISTENCE:
        return None
    for forbidden in of_the_call:
        common = min(len(path), len(forbidden))
        if path[:common] == forbidden[:common]:
            read = path if len(path) > len(forbidden) else forbidden
            return (
                f"reaches {'.'.join(read)}: whether an item exists may not depend on the single call, "
                "or a list would show other items than a call finds; refuse the call with `deny`"
            )
    return None


def _closure(module: Module, rule: Rule, modules: Sequence[Module]) -> Iterator[tuple[Module, Rule]]:
    """The rule and all that it refers to, in its own package, in other packages, by name or by a path that is not constant."""
    waiting: list[tuple[Module, Rule]] = [(module, rule)]
    seen: set[tuple[str, int, str]] = set()
    while waiting:
        owner, inner = waiting.pop()
        key = (owner.file, inner.line, inner.name)
        if key in seen:
            continue
        seen.add(key)
        yield owner, inner
        for path in inner.references:
            waiting.extend(referred(owner, path, modules))


def referred(owner: Module, path: Path, modules: Sequence[Module]) -> Iterator[tuple[Module, Rule]]:
    """The rules that a path in `owner` may mean."""
    below = path[1:] if path[0] == "data" else (*owner.package, path[0])
    for module in modules:
        depth = len(module.package)
        common = min(depth, len(below))
        if module.package[:common] != below[:common]:
            continue
        for rule in module.rules:
            if len(below) <= depth or rule.name == below[depth]:
                yield module, rule


def _data(files: Collection[str]) -> Iterator[Finding]:
    for file in files:
        if not file.startswith(DATA_ROOTS):
            yield Finding(file, 1, "is data outside mcp/facts and mcp/canaries, where it could pass for a rule; move it there")
        elif file.rsplit("/", 1)[-1] not in DATA_NAMES:
            yield Finding(file, 1, f"would be ignored: OPA reads only {', '.join(DATA_NAMES)} from a bundle")


def _duplicates(file: str, root: yaml.Node | None) -> Iterator[Finding]:
    waiting: list[yaml.Node] = [root] if root is not None else []
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias is the same node again; forty of them in a row are 2^40 values
            yield Finding(file, node.start_mark.line + 1, "is used again by an alias; write it out where it is meant")
            continue
        seen.add(id(node))
        if node.tag == "tag:yaml.org,2002:int" and len(node.value) > MAX_NUMBER:
            yield Finding(
                file, node.start_mark.line + 1, f"is a number of {len(node.value)} characters; {MAX_NUMBER} are the most"
            )
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        if isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                name = str(key.value)
                if key.tag != "tag:yaml.org,2002:str":
                    yield Finding(file, line, f"has a key {name[:80]!r} that is no text; put it in quotes")
                if name in first:
                    yield Finding(file, line, f"says {name!r} twice, first in line {first[name]}; one of the two would be lost")
                first.setdefault(name, line)
                waiting.append(value)

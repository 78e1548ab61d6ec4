"""One rule of a repository: its file, the tests that ask it, and what is told about it. For the quick look between two edits."""

import difflib
import re
from dataclasses import dataclass

from gateway.lifecycle.repository import POLICIES, TESTS, NoRepository, Repository
from gateway.policy.structure import Finding

RULES = ("mcp/org/*.rego", "mcp/servers/*/*.rego")
PACKAGE = re.compile(r"^package (\S+)$", re.M)


@dataclass(frozen=True, slots=True)
class Focus:
    file: str  # below the policies
    tests: tuple[str, ...]  # from the repository's root
    run: str  # for `opa test --run`: the packages of those tests

    @property
    def files(self) -> tuple[str, ...]:
        """Of the rule and its tests, from the repository's root."""
        return (f"{POLICIES}/{self.file}", *self.tests)

    def concerns(self, found: Finding) -> bool:
        """Whether a finding is about the rule, its tests, or the facts that it may read."""
        return found.file in self.files or found.file.startswith(f"{POLICIES}/mcp/facts/")


def focus(repository: Repository, rule: str) -> Focus:
    """`rule` as decisions name it, `org/x` or `servers/crm/x`, or as a path. Raises `NoRepository`: there is no such rule."""
    policies = repository.root / POLICIES
    known = sorted(
        path.relative_to(policies / "mcp").with_suffix("").as_posix() for each in RULES for path in policies.glob(each)
    )
    name = rule.removeprefix(f"{POLICIES}/").removeprefix("mcp/").removesuffix(".rego")
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise NoRepository(
            f"there is no rule {rule!r}; " + (f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}")
        )
    package = ".".join(("mcp", *name.split("/")))
    asks = re.compile(rf"\bdata\.{re.escape(package)}\b")
    texts = {path: path.read_text() for path in sorted((repository.root / TESTS).rglob("*.rego"))}
    asking = {path: text for path, text in texts.items() if asks.search(text)}
    packages = sorted({re.escape(found) for text in asking.values() for found in PACKAGE.findall(text)})
    return Focus(
        file=f"mcp/{name}.rego",
        tests=tuple(path.relative_to(repository.root).as_posix() for path in asking),
        run=rf"^data\.({'|'.join(packages)})\.",
    )

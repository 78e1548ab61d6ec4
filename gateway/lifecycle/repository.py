"""A policy repository: a folder with `policies`, `policy_tests` and `schemas`, and how paths in it are told."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.snapshot import FACTS, Source
from gateway.policy import bundle
from gateway.policy.bundle import BadBundle
from gateway.shipped import SHIPPED

POLICIES, TESTS, SCHEMAS = PARTS = "policies", "policy_tests", "schemas"


class NoRepository(Exception):
    """The folder is no policy repository: the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Repository:
    root: Path
    capabilities: Path
    linter: Path  # a .regal folder: the repository's own, or the shipped one
    beside: tuple[str, ...] = ()  # further folders of Rego, relative to the root: checked and tested, in no bundle
    home: Path | None = None  # where its files really are, if `root` is a copy
    apart: Mapping[str, Path] = field(default_factory=dict)  # files in the copy that come from elsewhere

    @property
    def source(self) -> Source:
        return Source(self.root / POLICIES, self.root / SCHEMAS, self.capabilities)

    @property
    def rego(self) -> tuple[str, ...]:
        """All folders of Rego, relative to the root."""
        return (POLICIES, TESTS, *self.beside)

    def told(self, file: str) -> str:
        """A file of this repository as somebody in the current folder names it."""
        if not file:
            return ""
        return os.path.relpath(self.apart.get(file, (self.home or self.root) / file))


def repository(root: Path, *, beside: tuple[str, ...] = ()) -> Repository:
    """Raises `NoRepository`."""
    for name in (*PARTS, *beside):
        if not (root / name).is_dir():
            raise NoRepository(_why(root, name))
    own = root / "capabilities.json"
    linter = root / ".regal"
    return Repository(
        root=root.resolve(),
        capabilities=own.resolve() if own.is_file() else SHIPPED.capabilities,
        linter=linter.resolve() if linter.is_dir() else SHIPPED.linter,
        beside=beside,
    )


def _why(root: Path, lacking: str) -> str:
    """What somebody who named `root` may have meant."""
    if root.is_file():
        return f"{root} is a file, and a bundle cannot be checked: name the policy repository that it was built from"
    if not root.is_dir():
        return f"{root}: no such folder"
    above = Path(os.path.relpath(root.resolve().parent))
    if root.resolve().name in PARTS and all((above / name).is_dir() for name in PARTS):
        return f"{root} is a folder of a policy repository: name the folder above, {above}"
    if (inside := _inside(root)) is not None:
        return f"{root} is no policy repository, {inside} is one: name it"
    return f"{root} is no policy repository: it has no folder {lacking}; `mcp-gateway policy init DIR` makes one"


def _inside(root: Path) -> Path | None:
    """The one repository in a folder."""
    found = [each.parent for each in sorted(root.glob(f"*/{POLICIES}")) if all((each.parent / name).is_dir() for name in PARTS)]
    return found[0] if len(found) == 1 else None


def policy_source(folder: Path, schemas: Path | None = None, facts: Path | None = None) -> Source:
    """The policy set in a repository, in its folder of policies alone, or in a bundle; what it lacks is the shipped one.

    `facts`: a folder or a bundle of them, where they live apart. Raises `PolicyRejected` for a folder that cannot hold one.
    """
    whole = (folder / POLICIES).is_dir()
    if facts is None and folder.is_dir() and not whole and not (folder / "mcp").is_dir():
        inside = _inside(folder)
        remedy = f"name the repository, {inside}" if inside is not None else "name a policy repository or a bundle"
        raise PolicyRejected((Finding("", 0, f"{folder} holds no policies: {remedy}"),))
    beside = folder / SCHEMAS if whole else folder.parent / SCHEMAS
    typed = schemas or (beside if beside.is_dir() else SHIPPED.schemas)
    return Source(folder / POLICIES if whole else folder, typed, SHIPPED.capabilities, facts=facts)


def base_source(folder: Path, schemas: Path | None = None, facts: Path | None = None) -> Source:
    """The set that another is compared with: with facts of its own where it brings them, otherwise with those of the other."""
    alone = policy_source(folder, schemas)
    return alone if _brings_facts(alone.folder) else policy_source(folder, schemas, facts)


def _brings_facts(policies: Path) -> bool:
    if not policies.is_file():
        return any(path.is_file() and not path.name.startswith(".") for path in (policies / FACTS).rglob("*"))
    try:
        return any(name.startswith(FACTS) for name in bundle.read(policies.read_bytes()).files)
    except (BadBundle, OSError):
        return True  # whoever loads it says what is wrong with it

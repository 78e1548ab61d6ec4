"""A policy repository whose facts live apart, put together as a gateway does it, in a private copy that ends with the check."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gateway.adapters.opa import snapshot
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.place import private_folder
from gateway.lifecycle.repository import POLICIES, SCHEMAS, TESTS, NoRepository, Repository


@contextmanager
def joined(checked: Repository, facts: Path) -> Iterator[Repository]:
    """`checked` with the facts of a folder or a bundle in their place. Raises `NoRepository` and `OSError`."""
    try:
        part = snapshot.facts(facts)
    except PolicyRejected as rejected:
        raise NoRepository("\n".join(_line(facts, each) for each in rejected.findings)) from rejected
    if (checked.root / POLICIES / snapshot.FACTS_ROOT).exists():
        raise NoRepository(f"{checked.root / POLICIES / snapshot.FACTS_ROOT} is there as well: one of the two would be ignored")
    with private_folder() as name:
        root = Path(name, "repository")
        for folder in (POLICIES, TESTS, SCHEMAS, *checked.beside):
            shutil.copytree(checked.root / folder, root / folder)
        for file, text in part.texts.items():
            path = root / POLICIES / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        apart = {f"{POLICIES}/{file}": facts / file.removeprefix(snapshot.FACTS) for file in part.texts}
        yield replace(checked, root=root.resolve(), home=checked.root, apart=apart)


def _line(facts: Path, found: Finding) -> str:
    file = found.file if os.path.isabs(found.file) or found.file == str(facts) else f"{facts}: {found.file}"
    return f"{file}: {found.message}"

"""A policy repository of a team's own, made of what comes with the gateway. Nothing of it is kept twice, and it passes its check.

Of the shipped policy set it takes all but the example servers, of which one is left as an example.
"""

import json
import shutil
from itertools import pairwise
from pathlib import Path

from gateway.lifecycle.making import texts
from gateway.lifecycle.repository import POLICIES, SCHEMAS, TESTS
from gateway.shipped import SHIPPED

KEPT = frozenset({"canary", "crm"})  # one example, and the canary, which is none: without it nothing decides
ITEMS = "mcp/facts/items/data.json"
FACTS = "mcp/facts/data.yaml"
MODULE = ("go.mod", "go.sum")  # fix OPA, and Regal, to the byte
SCRIPTS = frozenset({"ci/tools.sh"})


class NotMade(Exception):
    """The message says why."""


def make(folder: Path) -> tuple[str, ...]:
    """Write the repository into `folder`, which is empty or not there; its files. Raises `NotMade`."""
    try:
        if folder.exists() and not folder.is_dir():
            raise NotMade(f"{folder} is a file: a repository is made in a new or empty folder")
        if folder.exists() and any(folder.iterdir()):
            raise NotMade(f"{folder} is not empty: a repository is made in a new or empty folder")
        files = {**_shipped(), **{name: text.encode() for name, text in texts.FILES.items()}}
        for name, text in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)
            if name in SCRIPTS:
                place.chmod(0o755)
    except (OSError, shutil.Error) as error:
        raise NotMade(f"cannot be written: {error}") from error
    return tuple(sorted(files))


def _shipped() -> dict[str, bytes]:
    """What is taken over, by its path in the repository."""
    files = {f"{POLICIES}/{name}": text for name, text in _below(SHIPPED.policies)}
    files |= {f"{TESTS}/mcp/{name}": text for name, text in _below(SHIPPED.tests / "mcp")}
    files |= {f"{SCHEMAS}/{name}": text for name, text in _below(SHIPPED.schemas)}
    files |= {f".regal/{name}": text for name, text in _below(SHIPPED.linter)}
    files |= {f"ci/{name}/{file}": (SHIPPED.tools / name / file).read_bytes() for name in ("opa", "regal") for file in MODULE}
    files["ci/go.txt"] = (SHIPPED.tools / "go.txt").read_bytes()
    files["ci/requirements.txt"] = SHIPPED.requirements.read_bytes()
    files["capabilities.json"] = SHIPPED.capabilities.read_bytes()
    files[".regal/config.yaml"] = _linter(files[".regal/config.yaml"].decode()).encode()
    files[f"{POLICIES}/{FACTS}"] = _facts(files[f"{POLICIES}/{FACTS}"].decode()).encode()
    items = json.loads(files[f"{POLICIES}/{ITEMS}"])
    kept = {backend: said for backend, said in items.items() if backend in KEPT}
    files[f"{POLICIES}/{ITEMS}"] = (json.dumps(kept, indent=2) + "\n").encode()
    return files


def _below(root: Path) -> list[tuple[str, bytes]]:
    names = {path: path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()}
    return [(name, path.read_bytes()) for path, name in names.items() if _wanted(name)]


def _wanted(name: str) -> bool:
    """Not what belongs to an example server that is left out."""
    parts = name.split("/")
    owners = [below for above, below in pairwise(parts) if above in {"servers", "tools", "results"}]
    return all(owner in KEPT for owner in owners)


def _linter(settings: str) -> str:
    """The linter's settings where the repository's own files are."""
    lines = []
    for line in settings.splitlines():
        if line.strip().startswith("roots:"):
            lines.append(f"  roots: [{POLICIES}, {TESTS}]")
        elif line.strip().startswith("file:") and "capabilities" in line:
            lines.append("    file: capabilities.json")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _facts(text: str) -> str:
    """The facts without those about servers that are left out; comments stay where they are."""
    lines: list[str] = []
    section, dropped = "", False
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            section, dropped = line.split(":")[0], False
        elif line.startswith("  ") and line[2:3] not in {" ", "#", ""}:
            name = line.strip().partition(": ")[0].removesuffix(":")
            dropped = _foreign(section, name)
        elif not line.strip() or line.startswith("#"):
            dropped = False
        if not dropped:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _foreign(section: str, name: str) -> bool:
    """Whether a fact of this section speaks of a server that is left out."""
    if section in {"items", "backends"}:
        return name not in KEPT
    return section == "rules" and not _wanted(name)

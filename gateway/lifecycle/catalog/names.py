"""Where an item's files stand: a path tells its item, and no two items share one, also where upper and lower case are one.

`catalog/<backend>/<type>/<name>.json` is the definition that was reviewed, `schemas/tools/<backend>/<name>.json` what rules
are typed by. Letters, digits, `_`, `-` and `.` stand for themselves, every other byte is written `%xx`; what would be too
long for a file system is cut and ends in `~` and a hash, and its item is then told by the file's content alone.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from string import ascii_lowercase, ascii_uppercase, digits
from urllib.parse import unquote

from gateway.catalog.names import public_name, public_uri
from gateway.model import ItemType

MAX_STEM = 200  # bytes; file systems take 255, and `.json` and a mark of an unfinished write come on top
PLAIN = frozenset(ascii_lowercase + ascii_uppercase + digits + "_-.")
QUIET = PLAIN - frozenset(ascii_uppercase)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which item: its backend, its type, and its name there (a resource's URI, a template's URI template)."""

    backend: str
    type: ItemType
    name: str

    @property
    def id(self) -> str:
        named = self.type in {"tool", "prompt"}
        return public_name(self.backend, self.name) if named else public_uri(self.backend, self.name)


def stems(names: Collection[str]) -> Mapping[str, str]:
    """The file name of each, without its ending. Of names that differ by case only, capitals are written `%xx`."""
    loud = Counter(name.lower() for name in set(names))
    return {name: _stem(name, QUIET if loud[name.lower()] > 1 else PLAIN) for name in names}


def meant(stem: str) -> str | None:
    """The name that `stem` was made from; None: it was cut, the file's content tells."""
    return None if "~" in stem else unquote(stem)


def definition_path(key: Key, stem: str) -> PurePosixPath:
    """Below the folder of the catalog."""
    return PurePosixPath(key.backend, key.type, f"{stem}.json")


def arguments_path(key: Key, stem: str) -> PurePosixPath:
    """Below the folder of schemas: rules name it `schema.tools.<backend>.<name>`."""
    return PurePosixPath("tools", key.backend, f"{stem}.json")


def result_path(key: Key, stem: str) -> PurePosixPath:
    """Below the folder of schemas: rules name it `schema.results.<backend>.<name>`."""
    return PurePosixPath("results", key.backend, f"{stem}.json")


def _stem(name: str, plain: frozenset[str]) -> str:
    hidden = name.startswith(".")  # files that begin with a dot are no policy, and no schema
    written = "".join(
        each if each in plain and not (hidden and not at) else "".join(f"%{byte:02x}" for byte in each.encode())
        for at, each in enumerate(name)
    )
    if len(written) <= MAX_STEM:
        return written
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{written[: MAX_STEM - 33]}~{digest}"

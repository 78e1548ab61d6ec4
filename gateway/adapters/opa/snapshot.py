"""A private copy of everything a policy set is made of, taken at one moment: what is checked is what is loaded.

Only `*.rego` and data files named `data.json`, `data.yaml` or `data.yml` are policy. Any other JSON or YAML file is refused,
since OPA would silently leave it out; files of any other kind, and hidden ones, are left alone. A bundle is one file of the same,
and where signatures are required it is verified before anything in it is looked at; a folder then is never enough. Facts that
come apart are a folder or a bundle of their own, which can say nothing but facts.
"""

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.policy import bundle
from gateway.policy.bundle import BadBundle, Bundle
from gateway.policy.bundle_signature import Signed, Trust, verified

MAX_FILES = 10_000  # far beyond any policy set: somebody named the wrong folder
MAX_FILE_BYTES = 32 * 1024 * 1024
DATA_NAMES = frozenset({"data.json", "data.yaml", "data.yml"})
FACTS_ROOT = "mcp/facts"
FACTS = f"{FACTS_ROOT}/"
DATA_KINDS = frozenset({".json", ".yaml", ".yml"})

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Path, modification time, size and inode of each file: cheap to take, differs when something was edited."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a policy set comes from."""

    folder: Path  # or one file: a bundle
    schemas: Path  # a folder: rules are typed by its schemas, facts are checked against its facts.json
    capabilities: Path | None = None  # a file; None: everything that OPA can do
    canaries: Path | None = None  # a file; None: mcp/canaries/data.json in `folder`
    trust: Trust | None = None  # None: nothing need be signed
    facts: Path | None = None  # a folder or a bundle: what lies under mcp/facts, rolled out apart; None: the set brings its own


@dataclass(frozen=True, slots=True)
class Part:
    """What came in one piece: the rules, with their facts where those did not come apart; or the facts."""

    revision: str
    signed: Signed | None
    texts: Mapping[str, bytes]
    came_as: bytes | None = None  # a bundle; None: a folder

    def packed(self) -> bytes:
        """The bundle that it came as, or one of the folder with the folder's revision. Raises `PolicyRejected`."""
        if self.came_as is not None:
            return self.came_as
        roots = [FACTS_ROOT if all(name.startswith(FACTS) for name in self.texts) else bundle.ROOT]
        manifest = msgspec.json.encode({"revision": self.revision, "roots": roots})
        try:
            return bundle.pack({**self.texts, bundle.MANIFEST: manifest})
        except BadBundle as error:
            raise PolicyRejected((Finding("", 0, f"the history keeps bundles, and one of this folder {error}"),)) from error


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The copy, below one private folder; `policies`, `schemas` and the others are paths into it."""

    policies: Path
    schemas: Path
    capabilities: Path | None
    canaries: Path
    files: tuple[str, ...]  # of the policies, relative, sorted
    texts: dict[str, bytes]  # their contents
    revision: str  # of the policies: what decides
    digest: str  # of everything, checks included, whoever signed it
    rules: Part  # its revision is that of the whole unless facts came apart
    facts: Part | None  # None: they did not come apart

    def schema(self, name: str) -> bytes | None:
        """The schema called `name`; None: there is none."""
        path = self.schemas / name
        return path.read_bytes() if path.is_file() else None


def stamp(source: Source) -> Stamp:
    """The state of the files now. Unreadable ones are left out; the copy will name them."""
    told = []
    for root in (source.folder, source.schemas, source.capabilities, source.canaries, source.facts):
        for path in _paths(root, whole=False) if root else ():
            try:
                status = os.stat(path)  # not a `Path`: this runs four times a second over every schema of every tool
            except OSError:
                continue
            told.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(told)


def take(source: Source, into: Path) -> Snapshot:
    """Copy `source` below `into` (private, empty). Raises `PolicyRejected`."""
    texts, label, rules = _policies(source)
    apart = None
    if source.facts is not None:
        label = None if label == _hash(texts) else label  # a name that says nothing beside the hash of rules and facts
        told, apart = _facts(source.facts, texts, source.trust)
        texts = texts | told
    _refuse_missing(source.schemas, "schemas")
    for name, text in texts.items():
        _write(into / "policies" / name, text)
    revision = bundle.revision(label, _hash(texts))
    checks = {f"policies {revision}": b""}
    schemas, capabilities = into / "schemas", None
    schemas.mkdir()
    for name, text in _contents(source.schemas):
        if name.endswith(".json"):
            _write(schemas / name, text)
            checks[f"schemas {name}"] = text
    if source.capabilities is not None:
        capabilities = into / "capabilities.json"
        checks["capabilities"] = _read(source.capabilities)
        _write(capabilities, checks["capabilities"])
    canaries = into / "policies" / "mcp" / "canaries" / "data.json"
    if source.canaries is not None:
        canaries = into / "canaries.json"
        checks["canaries"] = _read(source.canaries)
        _write(canaries, checks["canaries"])
    return Snapshot(
        into / "policies", schemas, capabilities, canaries, tuple(texts), texts, revision, _hash(checks), rules, apart
    )


def facts(place: Path) -> Part:
    """The facts in a folder or a bundle of their own, whoever signed them. Raises `PolicyRejected`."""
    return _facts(place, {}, None)[1]


def _facts(place: Path, rules: dict[str, bytes], trust: Trust | None) -> tuple[dict[str, bytes], Part]:
    """The facts in a folder or a bundle of their own, as they will lie in the set."""
    if own := sorted(name for name in rules if name.startswith(FACTS)):
        twice = "the set brings facts of its own, and others are named apart: build it with `policy build --without-facts`"
        raise PolicyRejected(tuple(Finding(name, 0, twice) for name in own))
    if place.is_file():
        packed = _read(place)
        read, signed = _bundled(place, packed, trust.of_facts() if trust is not None else None)
        _refuse_others(read.files)
        return dict(read.files), Part(revision_of(read), signed, read.files, packed)
    _refuse_missing(place, "facts, or be a bundle of them")
    _refuse_unsigned(place, trust)
    texts = {FACTS + name: text for name, text in _contents(place)}
    _refuse_stray([name for name in texts if Path(name).name not in DATA_NAMES])
    return texts, Part(_hash(texts), None, texts)


def _refuse_others(files: Mapping[str, bytes]) -> None:
    """A bundle of facts that held a rule would be a release of rules past those who release them."""
    others = sorted(name for name in files if not name.startswith(FACTS))
    if others or not files:
        apart = "policy.facts is a bundle of facts, and this is none: build it with `policy build --only-facts`"
        raise PolicyRejected(tuple(Finding(name, 0, apart) for name in others or (FACTS,)))
    _refuse_stray([name for name in files if Path(name).name not in DATA_NAMES])


def _policies(source: Source) -> tuple[dict[str, bytes], str | None, Part]:
    """Contents, what their maker calls them, and the piece that they came as."""
    if source.folder.is_file():
        packed = _read(source.folder)
        read, signed = _bundled(source.folder, packed, source.trust)
        _refuse_stray([name for name in read.files if not _is_policy(name)])
        texts = dict(read.files)
        return texts, read.label, Part(revision_of(read), signed, texts, packed)
    _refuse_missing(source.folder, "policies, or be a bundle of them")
    _refuse_repository(source.folder)
    _refuse_unsigned(source.folder, source.trust)
    texts = {name: text for name, text in _contents(source.folder) if _is_policy(name)}
    names = (str(path.relative_to(source.folder)) for path in _files(source.folder))
    _refuse_stray([name for name in names if name not in texts and Path(name).suffix in DATA_KINDS])
    if not any(name.endswith(".rego") for name in texts):
        raise PolicyRejected((Finding(str(source.folder), 0, "there is no policy (*.rego) in this folder"),))
    return texts, None, Part(_hash(texts), None, texts)


def _bundled(file: Path, packed: bytes, trust: Trust | None) -> tuple[Bundle, Signed | None]:
    try:
        read = bundle.read(packed)
        return read, verified(read, trust, time.time()) if trust is not None else None
    except BadBundle as error:
        raise PolicyRejected((Finding(str(file), 0, f"the bundle {error}"),)) from error


def _refuse_unsigned(folder: Path, trust: Trust | None) -> None:
    if trust is not None:
        unsigned = "is a folder, which nobody can sign, and policy.require_signed is set: load a bundle"
        raise PolicyRejected((Finding(str(folder), 0, unsigned),))


def _refuse_repository(folder: Path) -> None:
    """Where a set is wanted its name is one folder too short: told once, not for each file that is no policy."""
    if not (folder / "mcp").is_dir() and (folder / "policies" / "mcp").is_dir():
        raise PolicyRejected((Finding(str(folder), 0, f"is a policy repository: name {folder / 'policies'}"),))


def _refuse_missing(folder: Path, kind: str) -> None:
    if not folder.is_dir():
        raise PolicyRejected((Finding(str(folder), 0, f"no such folder: it should hold the {kind}"),))


def revision_of(read: Bundle) -> str:
    """What a bundle is called once it is loaded."""
    return bundle.revision(read.label, _hash(read.files))


def _hash(contents: Mapping[str, bytes]) -> str:
    """SHA-256 of names and contents, short: 64 bits tell any two sets apart that somebody did not forge."""
    total = hashlib.sha256()
    for name in sorted(contents):
        total.update(hashlib.sha256(name.encode()).digest())
        total.update(hashlib.sha256(contents[name]).digest())
    return total.hexdigest()[:16]


def _is_policy(name: str) -> bool:
    return name.endswith(".rego") or Path(name).name in DATA_NAMES


def _refuse_stray(stray: list[str]) -> None:
    wanted = "OPA would leave this file out: data files are named data.json or data.yaml"
    if stray:
        raise PolicyRejected(tuple(Finding(name, 0, wanted) for name in stray))


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in _files(folder):
        name = str(path.relative_to(folder))
        if path.suffix == ".rego" or path.suffix in DATA_KINDS:
            yield name, _read(path)


def _files(root: Path) -> Iterator[Path]:
    """See `_paths`."""
    return map(Path, _paths(root, whole=True))


def _paths(root: Path, *, whole: bool) -> Iterator[str]:
    """The files below `root` in order, hidden ones left out; links are followed, as mounted configuration needs.

    `whole`: a folder that cannot be read, or too many files, is a reason to refuse; what is left out might have been a denial.
    """
    if not root.is_dir():
        yield str(root)
        return
    count = 0
    for folder, below, names in os.walk(root, followlinks=True, onerror=_unreadable if whole else None):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.startswith("."):
                continue
            count += 1
            if count > MAX_FILES and whole:
                raise PolicyRejected(
                    (Finding(str(root), 0, f"more than {MAX_FILES} files: is this the folder of the policies?"),)
                )
            if count > MAX_FILES:
                return
            yield f"{folder}/{name}"


def _unreadable(error: OSError) -> None:
    raise PolicyRejected((Finding(str(error.filename), 0, f"cannot be read: {error.strerror}"),)) from error


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PolicyRejected((Finding(str(path), 0, "is no regular file"),))
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PolicyRejected((Finding(str(path), 0, f"cannot be read: {error.strerror}"),)) from error
    if len(text) > MAX_FILE_BYTES:
        raise PolicyRejected((Finding(str(path), 0, f"is larger than {MAX_FILE_BYTES} bytes"),))
    return text


def _at_once(path: str, flags: int) -> int:
    """A pipe that nobody writes to would be waited for, and no edit would ever come into force again."""
    return os.open(path, flags | os.O_NONBLOCK)


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(text)

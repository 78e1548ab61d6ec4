"""A policy bundle as OPA packs one: a gzipped tar, read within bounds and strictly, written the same every time.

What two readers could read in two ways (a name twice, a link, a way out of the folder) makes the whole bundle unreadable.
"""

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from gateway.policy import tarball
from gateway.policy.tarball import BadTar

MANIFEST = ".manifest"
SIGNATURES = ".signatures.json"
ROOT = "mcp"
MAX_PACKED_BYTES = 32 * 1024 * 1024
MAX_BYTES = 128 * 1024 * 1024  # unpacked: a gzip may hold a thousand times its size

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_HASH = re.compile(r"[0-9a-f]{16}")  # as much of a digest as a revision holds
_REVISION = re.compile(r"[A-Za-z0-9_.+:@/\-]{1,128}")


class BadBundle(Exception):
    """The bundle is not taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is in a bundle. Nothing in it is to be trusted yet."""

    files: Mapping[str, bytes]  # policies and data, by path
    manifest: bytes | None
    signatures: bytes | None
    label: str | None  # the revision that the manifest names


class _Manifest(msgspec.Struct):
    revision: str = ""


def read(packed: bytes) -> Bundle:
    """Raises `BadBundle`."""
    if len(packed) > MAX_PACKED_BYTES:
        raise BadBundle(f"is larger than {MAX_PACKED_BYTES} bytes")
    try:
        files = _named(tarball.entries(tarball.unzipped(packed, MAX_BYTES)))
    except BadTar as error:
        raise BadBundle(str(error)) from error
    manifest, signatures = files.pop(MANIFEST, None), files.pop(SIGNATURES, None)
    return Bundle(files, manifest, signatures, _label(manifest))


def pack(files: Mapping[str, bytes]) -> bytes:
    """The bundle of these files, `.manifest` and `.signatures.json` among them: the same bytes for the same files.

    Raises `BadBundle` for a name that a tar without extensions cannot hold.
    """
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            try:
                archive.addfile(entry, io.BytesIO(files[name]))
            except ValueError as error:
                raise BadBundle(f"holds {name[:200]!r}, whose name is too long: at most 100 characters after a slash") from error
    return gzip.compress(tar.getvalue(), mtime=0)


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256, hex, of names and contents, byte for byte: OPA's own hashes of data files do not see how they are written."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(hashlib.sha256(name.encode()).digest())
        total.update(hashlib.sha256(files[name]).digest())
    return total.hexdigest()


def revision(label: str | None, contents: str) -> str:
    """The revision of a set: what its maker calls it, and always the hash of what it is, or two sets could share a name."""
    if not label or label == contents or label.endswith(f".{contents}"):
        return label or contents
    return f"{label}.{contents}"


def same_contents(one: str | None, other: str | None) -> bool:
    """Whether two revisions are of one set, whatever it was labelled: a folder's is the bare hash, a bundle's ends with it."""
    return one == other or (_hash(one) is not None and _hash(one) == _hash(other))


def _hash(said: str | None) -> str | None:
    """None where there is none, as in a revision that a sidecar's own bundle brought."""
    end = (said or "").rpartition(".")[2]
    return end if _HASH.fullmatch(end) else None


def _named(entries: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for said, content in entries:
        name = said.removeprefix("./").removeprefix("/")
        if name not in (MANIFEST, SIGNATURES) and _NAME.fullmatch(name) is None:
            raise BadBundle(f"holds {said[:200]!r}, which is no name that a file of policies may have")
        if name in files:
            raise BadBundle(f"holds {name[:200]!r} twice")
        files[name] = content
    for name in files:
        for folder in _folders(name):
            if folder in files:
                raise BadBundle(f"holds {folder[:200]!r} as a file and as a folder")
    return files


def _folders(name: str) -> Iterator[str]:
    while (end := name.rfind("/")) > 0:
        name = name[:end]
        yield name


def _label(manifest: bytes | None) -> str | None:
    if manifest is None:
        return None
    try:
        named = msgspec.json.decode(manifest, type=_Manifest).revision
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBundle("has a .manifest that cannot be read") from error
    if named and not may_label(named):
        raise BadBundle("has a revision of other characters than letters, digits and _ . + : @ / -")
    return named or None


def may_label(text: str) -> bool:
    """Whether a revision may begin with it."""
    return _REVISION.fullmatch(text) is not None

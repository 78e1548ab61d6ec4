"""The policy sets that were accepted, kept as bundles in a folder of the gateway, and the pin that takes one of them back.

The gateway alone writes the index and the sets, `policy rollback` alone the pin. A set is kept before it decides, so that there
is always one to go back to; it is checked and verified again like any other when it comes back. A pin that cannot be read or
names a set that is not kept is a reason to refuse, never to go on as if there were none. Facts that come apart have a history of
their own in it.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.snapshot import Part

T = TypeVar("T")

INDEX = "index.json"
PIN = "pin.json"


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One accepted set."""

    revision: str
    file: str  # its bundle, in the folder
    accepted_s: float  # Unix time
    signed_s: float | None = None


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the gateway tells of itself. `kept`: in the order of acceptance, the newest last."""

    kept: tuple[Kept, ...] = ()
    in_force: str | None = None
    newest_signed_s: float | None = None  # of all that were ever accepted: nothing older counts but by a pin
    told_s: float = 0.0  # Unix time at which this was written
    refused: tuple[str, ...] = ()  # why the pinned set is not the one in force
    refused_revision: str | None = None


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    revision: str
    pinned_s: float  # Unix time


@dataclass(frozen=True, slots=True)
class History:
    """`folder` is made when it is first written to, for its owner alone."""

    folder: Path
    keep: int
    writes: bool = True  # False: for whoever only looks, beside the gateway that it belongs to

    def of_facts(self) -> "History":
        """The same for facts that come apart."""
        return replace(self, folder=self.folder / "facts")

    def index(self) -> Index:
        """Raises `PolicyRejected`: an index that cannot be read might have known a newer set."""
        return _read(self.folder / INDEX, Index) or Index()

    def pin(self) -> Pin | None:
        """Raises `PolicyRejected`."""
        return _read(self.folder / PIN, Pin)

    def kept_bundle(self, revision: str) -> Path:
        """Where a kept set lies. Raises `PolicyRejected`."""
        kept = {one.revision: one.file for one in self.index().kept}
        if revision not in kept:
            there = ", ".join(kept) or "none"
            found = Finding(PIN, 0, f"policy rollback: revision {revision} is not kept; there are {there}")
            raise PolicyRejected((found,))
        return self.folder / kept[revision]

    def stamp(self) -> tuple[tuple[str, int, int, int], ...]:
        """Of the pin, in the form of `snapshot.Stamp`."""
        path = self.folder / PIN
        try:
            status = path.stat()
        except OSError:
            return ()
        return ((str(path), status.st_mtime_ns, status.st_size, status.st_ino),)

    def refuse_older(self, part: Part, what: str) -> None:
        """Raises `PolicyRejected` when something signed later was accepted before.

        Signatures say whole seconds: of two within one, that is the older which was accepted first.
        """
        index = self.index()
        newest_s = index.newest_signed_s
        if part.signed is None or newest_s is None:
            return
        within = [one.revision for one in index.kept if one.signed_s == newest_s]
        replaced = part.signed.signed_s == newest_s and part.revision in within[:-1]
        if part.signed.signed_s < newest_s or replaced:
            before_s = newest_s - part.signed.signed_s
            when = "in the same second as" if replaced else f"{before_s:.0f} s before"
            older = f"was signed {when} one that was accepted {'after it' if replaced else 'already'}"
            advice = "go back on purpose with `mcp-gateway policy rollback`, or sign it anew"
            raise PolicyRejected((Finding("", 0, f"{what} {older}: {advice}"),))

    def accept(self, part: Part, now_s: float, *, known: bool) -> None:
        """Keep `part` as the one in force; `known`: it came from here. Raises `OSError` or `PolicyRejected`."""
        if not self.writes:
            return
        packed = part.packed()
        with self._alone():
            if not known:
                self.refuse_older(part, "the bundle")  # once more: another gateway may have accepted a newer one since
            self._accept(part, packed, now_s, known=known)

    def _accept(self, part: Part, packed: bytes, now_s: float, *, known: bool) -> None:
        index = self.index()
        kept = list(index.kept)
        signed_s = part.signed.signed_s if part.signed is not None else None
        if not known or all(one.revision != part.revision for one in kept):
            entry = Kept(part.revision, f"{hashlib.sha256(part.revision.encode()).hexdigest()[:32]}.tar.gz", now_s, signed_s)
            self._write(entry.file, packed)
            kept = [one for one in kept if one.revision != part.revision] + [entry]
        times_s = [each for each in (index.newest_signed_s, signed_s) if each is not None]
        dropped = kept[: -self.keep] if len(kept) > self.keep else []
        staying = [one for one in kept if one not in dropped or one.revision == part.revision]
        new = Index(tuple(staying), part.revision, max(times_s, default=None), now_s)
        self._write(INDEX, msgspec.json.encode(new))
        for one in dropped:
            if one not in staying:
                (self.folder / one.file).unlink(missing_ok=True)

    def refuse(self, why: Sequence[Finding], pin: Pin, now_s: float) -> None:
        """Tell whoever pinned what came of it. Raises `OSError` or `PolicyRejected`."""
        told = tuple(each.message for each in why)
        if not self.writes:
            return
        with self._alone():
            index = self.index()
            told_now = Index(index.kept, index.in_force, index.newest_signed_s, now_s, told, pin.revision)
            self._write(INDEX, msgspec.json.encode(told_now))

    def set_pin(self, pin: Pin | None) -> None:
        """Raises `OSError`."""
        if pin is None:
            (self.folder / PIN).unlink(missing_ok=True)
        else:
            self._write(PIN, msgspec.json.encode(pin))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer of the index at a time: two that share a folder against the advice lose nothing that counts as accepted."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, name: str, content: bytes) -> None:
        write_whole(self.folder / name, content)


def write_whole(path: Path, content: bytes) -> None:
    """At once or not at all, for its owner alone, in a folder that is made if need be. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(half, "xb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: Path, type: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PolicyRejected((Finding(str(path), 0, f"cannot be read: {error.strerror}"),)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PolicyRejected((Finding(str(path), 0, f"is not what the gateway wrote: {error}"),)) from error

"""One file that is a whole policy set: checked in every way, its canaries answered, named by its contents, and signed.

The same files, label, key and time make the same bytes. The private key is never given to another process: OPA only hashes.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jwt
import msgspec

from gateway.adapters.opa import policyset, snapshot
from gateway.adapters.opa.command import OpaUnusable, run
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.place import private_folder
from gateway.adapters.opa.snapshot import Source
from gateway.lifecycle.asking import PATIENCE
from gateway.model import Json, JsonObject
from gateway.policy import bundle
from gateway.policy.bundle import BadBundle
from gateway.policy.bundle_signature import CONTENTS, PrivateKey, signature


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, and the time that the signature names."""

    id: str
    key: PrivateKey
    signed_s: int  # Unix time


@dataclass(frozen=True, slots=True)
class Packed:
    revision: str
    content: bytes
    files: int


Share = Literal["all", "rules", "facts"]
"""What of a policy set a bundle takes: rules and facts that roll out apart are two bundles."""


async def packed(
    binary: str, source: Source, *, label: str | None = None, signer: Signer | None = None, share: Share = "all"
) -> Packed:
    """The bundle of a policy set that might be put in force, all of which is checked also if only a share is packed.

    Raises `PolicyRejected` or `OpaUnusable`.
    """
    with private_folder() as name:
        folder = Path(name)
        copy = await asyncio.to_thread(snapshot.take, source, folder)
        built = await policyset.build(binary, copy, folder)
        proved = await policyset.start(built, binary, PATIENCE, _untold)
        await proved.process.stop()
        texts = {name: text for name, text in copy.texts.items() if _shared(name, share)}
        revision = bundle.revision(label, bundle.digest(texts)[:16])
        manifest = {"revision": revision, "roots": _roots(texts, share)}
        files = {**texts, bundle.MANIFEST: msgspec.json.encode(manifest)}
        if signer is not None:
            hashes = await _hashes(binary, files, folder)
            claims: JsonObject = {"files": hashes, "keyid": signer.id, "iat": signer.signed_s, CONTENTS: bundle.digest(files)}
            files[bundle.SIGNATURES] = signature(signer.key, claims)
    try:
        content = bundle.pack(files)
        bundle.read(content)
    except BadBundle as error:  # a name or a label that a gateway would not take
        raise PolicyRejected((Finding("", 0, f"the bundle {error}"),)) from error
    return Packed(revision, content, len(texts))


def _shared(name: str, share: Share) -> bool:
    return share == "all" or (share == "facts") == name.startswith(snapshot.FACTS)


def _roots(texts: Mapping[str, bytes], share: Share) -> list[str]:
    """What the bundle may speak about: those of rules and facts apart do not overlap, so that an OPA can load both."""
    if share != "rules":
        return [bundle.ROOT if share == "all" else snapshot.FACTS_ROOT]
    return sorted({"/".join(name.removesuffix(".rego").split("/")[:2]) for name in texts})


def write(content: bytes, file: Path) -> None:
    """Whole and at once: a gateway that watches the file never sees half of it. Raises `OSError`."""
    half = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with half.open("xb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


async def _hashes(binary: str, files: Mapping[str, bytes], folder: Path) -> list[Json]:
    """Each file's hash as OPA makes it, by a signature with a key that is thrown away."""
    root = folder / "signed"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    arguments = ["sign", "--bundle", ".", "--signing-alg", "HS256", "--signing-key", secrets.token_hex(32)]
    done = await run(binary, [*arguments, "--output-file-path", str(folder)], cwd=str(root))
    if done.status != 0:
        raise OpaUnusable(f"opa sign failed: {done.stderr.decode(errors='backslashreplace')[:500]}")
    try:
        encoded = msgspec.json.decode((folder / bundle.SIGNATURES).read_bytes())["signatures"][0]
        hashes: list[Json] = jwt.decode(encoded, options={"verify_signature": False})["files"]
        return sorted(hashes, key=_name)
    except (OSError, msgspec.DecodeError, jwt.PyJWTError, LookupError, TypeError) as error:
        raise OpaUnusable(f"opa sign wrote no signature that can be read: {error}") from error


def _name(entry: Json) -> str:
    return str(entry["name"]) if isinstance(entry, dict) else ""


def _untold(_why: str) -> None:
    """It runs for a moment only."""

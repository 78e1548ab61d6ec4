"""`mcp-gateway policy build`: a policy set as it is handed on. Exit code 0: fine; 1: the answer is no; 2: asked wrongly."""

import asyncio
import hashlib
import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.lifecycle import bundle, printing
from gateway.lifecycle.bundle import Packed, Share, Signer
from gateway.lifecycle.programs import program
from gateway.lifecycle.repository import POLICIES, NoRepository, policy_source, repository
from gateway.policy.bundle import may_label
from gateway.policy.bundle_signature import BadKey, private_key

Place = Annotated[
    Path, typer.Argument(help="the policy repository: a folder with policies, policy_tests and schemas; or a bundle of rules")
]
Facts = Annotated[Path | None, typer.Option("--facts", help="a folder or a bundle: the facts, where they live apart")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for a machine")]


def build_command(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    folder: Place = Path(),
    output: Annotated[Path, typer.Option("--output", "-o", help="the bundle to write")] = Path("bundle.tar.gz"),
    label: Annotated[str | None, typer.Option("--label", help="begins the revision, such as a commit; its hash follows")] = None,
    signing_key: Annotated[Path | None, typer.Option("--signing-key", help="PEM file of the private key to sign with")] = None,
    signing_key_env: Annotated[
        str | None, typer.Option("--signing-key-env", help="environment variable that holds that key instead")
    ] = None,
    key_id: Annotated[str | None, typer.Option("--key-id", help="what policy.require_signed calls the key")] = None,
    facts: Facts = None,
    without_facts: Annotated[bool, typer.Option("--without-facts", help="rules only, for gateways with policy.facts")] = False,
    only_facts: Annotated[bool, typer.Option("--only-facts", help="facts only, which is what policy.facts loads")] = False,
    as_json: AsJson = False,
) -> None:
    """Make one file of a policy set, for gateways and OPAs to load: checked, canaries asked, with a revision, signed.

    The same files, label, key and time make the same bytes; SOURCE_DATE_EPOCH sets the time that the signature names.
    Rules and facts are always checked together, also where only one of them is packed.

    Example: mcp-gateway policy build . --label "$(git rev-parse --short HEAD)" --signing-key policy.pem --key-id 2026-a
    """
    if without_facts and only_facts:
        raise _failed("give one of --without-facts and --only-facts")
    if label is not None and not may_label(label):
        raise _failed("--label has other characters than letters, digits and _ . + : @ / -, or more than 128")
    if not output.parent.is_dir():
        raise _failed(f"--output: {output.parent}: no such folder")
    share: Share = "rules" if without_facts else "facts" if only_facts else "all"
    try:
        signer = _signer(signing_key, signing_key_env, key_id)
        source = replace(policy_source(folder) if folder.is_file() else repository(folder).source, facts=facts)
        opa = program("opa")
        if opa is None:
            raise _failed("no opa: install Open Policy Agent, or name the program in $OPA")
        made = asyncio.run(bundle.packed(opa, source, label=label, signer=signer, share=share))
        bundle.write(made.content, output)
    except PolicyRejected as rejected:
        lines = (_placed(each, apart=facts is not None or folder.is_file()) for each in rejected.findings)
        raise _failed("\n".join(lines), 1) from rejected
    except (NoRepository, OpaUnusable, BadKey, OSError) as error:
        raise _failed(str(error)) from error
    typer.echo(_json(made, output, signer) if as_json else _line(made, output, signer))


def _signer(file: Path | None, variable: str | None, id: str | None) -> Signer | None:
    """Raises `BadKey` or `typer.Exit`."""
    if file is None and variable is None:
        if id is not None:
            raise _failed("--key-id names a key: give it with --signing-key or --signing-key-env")
        return None
    if file is not None and variable is not None:
        raise _failed("give one of --signing-key and --signing-key-env")
    if id is None:
        raise _failed("--key-id is missing: what policy.require_signed calls the key")
    if variable is not None and variable not in os.environ:
        raise _failed(f"--signing-key-env: there is no variable {variable}")
    try:
        pem = file.read_bytes() if file is not None else os.environ[variable or ""].encode()
    except OSError as error:
        raise _failed(f"--signing-key: {file}: {error.strerror}") from error
    try:
        key = private_key(pem)
    except BadKey as error:
        raise BadKey(f"{file or variable} {error}") from error
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is not None and not epoch.isdecimal():
        raise _failed("SOURCE_DATE_EPOCH is no number of seconds")
    return Signer(id, key, int(epoch) if epoch is not None else int(time.time()))


def _placed(found: Finding, *, apart: bool) -> str:
    """Where it is in the repository; of what lies apart only what a gateway calls it."""
    name = found.file if apart or Path(found.file).is_absolute() else f"{POLICIES}/{found.file}"
    return f"{name}:{found.line}: {found.message}" if found.line else f"{name}: {found.message}"


def _line(made: Packed, output: Path, signer: Signer | None) -> str:
    when = datetime.fromtimestamp(signer.signed_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if signer else ""
    by = f"signed by {signer.id} at {when}" if signer else "not signed"
    first = printing.plain(f"{output}: revision {made.revision}")
    return f"{first}\n{printing.plain(f'{made.files} files, {len(made.content):,} bytes, {by}')}"


def _json(made: Packed, output: Path, signer: Signer | None) -> str:
    told: dict[str, object] = {
        "file": str(output),
        "revision": made.revision,
        "files": made.files,
        "bytes": len(made.content),
        "sha256": hashlib.sha256(made.content).hexdigest(),
    }
    if signer is not None:
        told |= {"key_id": signer.id, "signed_s": signer.signed_s}
    return json.dumps(told, indent=2)


def _failed(message: str, code: int = 2) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)

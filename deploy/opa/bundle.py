"""Writes what the OPA of compose.yaml serves: the policy folder as one bundle, with a revision that is a hash of its files.

A sidecar without a revision is not believed by the gateway. The revision is the one that a gateway with its own OPA would
give the same files. Usage: python bundle.py POLICIES SCHEMAS AUTHZ TARGET
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.snapshot import Source, take

AUTHZ = "system/authz.rego"
ROOTS = ["mcp", "system/authz"]  # OPA refuses the bundle if a file of it says anything elsewhere


def write(source: Source, authz: Path, target: Path) -> str:
    """Make `target` hold exactly the bundle; returns its revision. Raises `PolicyRejected`, then `target` is as before."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = take(source, Path(folder))
        for old in target.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    manifest = json.dumps({"revision": snapshot.revision, "roots": ROOTS}).encode()
    for name, text in {**snapshot.texts, AUTHZ: authz.read_bytes(), ".manifest": manifest}.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)
    return snapshot.revision


def main() -> int:
    if len(sys.argv) != 5:
        print("usage: python bundle.py POLICIES SCHEMAS AUTHZ TARGET", file=sys.stderr)
        return 2
    os.umask(0o022)  # OPA is another user, and leaves out in silence what it cannot read
    policies, schemas, authz, target = map(Path, sys.argv[1:])
    try:
        revision = write(Source(policies, schemas), authz, target)
    except PolicyRejected as rejected:
        print(*(f"{each.file}:{each.line}: {each.message}" for each in rejected.findings), sep="\n", file=sys.stderr)
        return 1
    print(f"policy bundle of revision {revision} written to {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

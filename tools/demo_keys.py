"""Makes API keys for the demo identities of compose.yaml: the hashes for the gateway's environment, the keys for you.

Standard library only: it runs before anything is installed. A second run keeps the keys that are there.
Usage: python3 tools/demo_keys.py [FOLDER], by default .run/compose, which git ignores.
"""

import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".run" / "compose"
GROUPS = {"analyst": ["analysts"], "engineer": ["engineers"], "unknown": []}
VARIABLE = "GATEWAY_IDENTITY__API_KEYS"


def kept(folder: Path) -> dict[str, str]:
    """The keys in `folder` by identity, made now where there are none. The files are for their owner alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    shown = folder / "keys.json"
    if shown.exists():
        keys: dict[str, str] = json.loads(shown.read_text())
    else:
        keys = {name: f"mgw_{name}_{secrets.token_urlsafe(32)}" for name in GROUPS}
        _write(shown, json.dumps(keys, indent=2) + "\n")
    _write(folder / "keys.env", f"{VARIABLE}={json.dumps(entries(keys), separators=(',', ':'))}\n")
    return keys


def entries(keys: dict[str, str]) -> list[dict[str, object]]:
    """What the settings hold of `keys`: whose they are, and the hash of the secret part."""
    told: list[dict[str, object]] = []
    for name, key in keys.items():
        secret = key.removeprefix(f"mgw_{name}_")
        digest = hashlib.sha256(secret.encode()).hexdigest()
        told.append({"id": name, "sha256": digest, "subject": f"{name}@example.com", "type": "user", "groups": GROUPS[name]})
    return told


def _write(file: Path, text: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as sink:
        sink.write(text)


def main() -> int:
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        print("usage: python3 tools/demo_keys.py [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 else FOLDER
    for name, key in kept(folder).items():
        print(f"{name:9} Authorization: Bearer {key}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

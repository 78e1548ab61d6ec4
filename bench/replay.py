"""How fast `policy replay` is: an audit of made-up calls and lists, all different, put to two copies of the shipped policies.

python -m bench.replay 20000
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from gateway.adapters.audit.files import file_name
from gateway.shipped import SHIPPED

SEED = 5
GROUPS = ("analysts", "account_managers", "crm_admins", "engineers", "reviewers")
LIST_SHARE = 0.05
LIST_ITEMS = 40
NOW_NS = 1_700_000_000_000_000_000


def resources() -> list[dict[str, Any]]:
    told = yaml.safe_load((SHIPPED.policies / "mcp/facts/data.yaml").read_text())["items"]
    return [
        {"type": "tool", "backend": backend, "name": name, "id": f"{backend}__{name}", "public_name": f"{backend}__{name}"}
        | {"listed": True, "fingerprint": "sha256:" + "1" * 64}
        for backend in ("crm", "deploy")
        for name in told[backend]["tool"]
    ]


def document(chance: random.Random, number: int, known: list[dict[str, Any]]) -> dict[str, Any]:
    listed = chance.random() < LIST_SHARE
    subject = {"type": "user", "issuer": "https://id.example.com", "id": f"user{chance.randrange(500)}", "scopes": []}
    context = {"surface": "default", "protocol": "2026-07-28", "source_ip": "127.0.0.1", "approvals": []}
    asked: dict[str, Any] = {
        "version": 1,
        "subject": subject | {"groups": chance.sample(GROUPS, 2), "claims": {}, "authentication": "api_key", "actors": []},
        "action": {
            "name": "tools/list" if listed else "tools/call",
            "phase": "list" if listed else "request",
            "initiator": "client",
        },
        "resources": [chance.choice(known) for _ in range(LIST_ITEMS)] if listed else [chance.choice(known)],
        "context": context
        | {"time_ns": NOW_NS + number * 10**10, "obligations": ["redact", "rate_limit", "inspect_result", "audit"]},
    }
    if not listed:
        asked |= {"arguments": {"query": f"customer {number}", "customer_id": number}, "arguments_valid": True}
    return asked


def main(count: int) -> None:
    chance, known = random.Random(SEED), resources()  # made-up traffic, alike in every run
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / file_name("audit", begun_ns=NOW_NS, writer="0" * 32, sequence=1)
        with path.open("w") as file:
            for number in range(count):
                asked = document(chance, number, known)
                one = {"decision_id": f"{number:032x}", "phase": asked["action"]["phase"], "revision": "then", "document": asked}
                file.write(json.dumps({"type": "exchange", "decisions": [one]}) + "\n")
        command = [sys.executable, "-m", "gateway.cli", "policy", "replay", "--json", "--audit", name]
        command += ["--policies", str(SHIPPED.policies), "--against", str(SHIPPED.policies)]
        began_s = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        whole_s = time.perf_counter() - began_s
    said = json.loads(done.stdout)
    speed = f"{said['replayed'] / said['duration_s']:,.0f}/s, {said['evaluated']} questions to OPA"
    print(f"{said['replayed']} decisions, each put to both sets: {speed}; with reading and starting {whole_s:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)

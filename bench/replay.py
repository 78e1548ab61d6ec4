"""How fast `policy replay` is: an audit of made-up calls and lists, all different, put to the shipped policies and a change.

Three changes: one backend refuses more, so that lists and the other's calls are asked once; the organisation's rules are others,
so that both sets are asked everything; and, on a tenth of the traffic, a rule that takes the arguments whole, so that nothing
at all is shared.

python -m bench.replay 20000
"""

import json
import random
import resource
import shutil
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
REFUSAL = """
# METADATA
# title: nobody is no customer
# custom:
#   code: nobody
deny contains finding.refusal(rego.metadata.rule()) if {
	input.resources[0].name == "update_customer"
	input.arguments.email == "nobody@example.com"
}
"""
WHOLE = """
# METADATA
# title: the arguments name {0}
# custom:
#   code: whole
oblige contains finding.duty(rego.metadata.rule(), "audit", {{"level": "full"}}) if {{
	contains(json.marshal(input.arguments), "{0}")
}}
"""
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


def written(folder: Path, count: int) -> None:
    """An audit of so many decisions, alike in every run."""
    chance, known = random.Random(SEED), resources()
    path = folder / file_name("audit", begun_ns=NOW_NS, writer="0" * 32, sequence=1)
    with path.open("w") as file:
        for number in range(count):
            asked = document(chance, number, known)
            one = {"decision_id": f"{number:032x}", "phase": asked["action"]["phase"], "revision": "then", "document": asked}
            file.write(json.dumps({"type": "exchange", "decisions": [one]}) + "\n")


def policies(folder: Path, changed: str, text: str = "\n# changed\n") -> Path:
    """A copy of the shipped policies with one change."""
    copied = folder / "policies"
    shutil.copytree(SHIPPED.policies, copied)
    with (copied / changed).open("a") as file:
        file.write(text)
    return copied


def replayed(folder: Path, what: str, count: int, *, old: Path, new: Path) -> None:
    audit = folder / f"audit{count}"
    audit.mkdir(exist_ok=True)
    written(audit, count)
    command = [sys.executable, "-m", "gateway.cli", "policy", "replay", "--json", "--audit", str(audit)]
    began_s, spent_s = time.perf_counter(), cpu_s()
    done = subprocess.run([*command, "--policies", str(new), "--against", str(old)], capture_output=True, text=True, check=True)
    whole_s, cpu = time.perf_counter() - began_s, cpu_s() - spent_s
    said = json.loads(done.stdout)
    speed = f"{said['replayed'] / said['duration_s']:,.0f}/s, with reading and starting {said['replayed'] / whole_s:,.0f}/s"
    print(f"{what}: {said['replayed']:,} decisions, each put to both sets: {speed}")
    print(f"  {said['evaluated']:,} questions to OPA, {cpu:.1f} CPU s", flush=True)


def cpu_s() -> float:
    """Of all that was started and has ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = policies(folder / "one", "mcp/servers/crm/changes.rego", REFUSAL)
        all_of_it = policies(folder / "all", "mcp/org/audit.rego")
        unlike = [policies(folder / each, "mcp/org/audit.rego", WHOLE.format(each)) for each in ("before", "after")]
        replayed(folder, "one backend refuses more", count, old=SHIPPED.policies, new=one)
        replayed(folder, "the organisation's rules changed", count, old=SHIPPED.policies, new=all_of_it)
        replayed(folder, "and judge the arguments whole", count // 10, old=unlike[0], new=unlike[1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)

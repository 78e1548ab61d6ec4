"""An installed gateway carries what a policy repository is made of: nothing is looked for in a source tree."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    *("pyproject.toml", "setup.py", "README.md", "gateway"),
    *("policies", "policy_tests", "schemas", "library", ".regal"),
    *("tools/opa", "tools/regal", "tools/go.txt", "deploy/gateway/requirements.txt"),
)
MAKE = """
import json, sys
from pathlib import Path
from gateway.lifecycle.making import library
from gateway.lifecycle.making.repository import make
from gateway.shipped import SHIPPED
root = Path(sys.argv[1])
files = make(root)
copied = [file for each in library.offered() for file in library.copy(root, each.rule).files]
print(json.dumps({"files": [*files, *copied], "capabilities": str(SHIPPED.capabilities), "library": len(library.offered())}))
"""


def test_a_wheel_makes_the_same_repository_as_the_source_tree_with_the_whole_library(tmp_path: Path) -> None:
    source, installed = tmp_path / "source", tmp_path / "installed"
    for name in SOURCES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(build, capture_output=True, text=True, timeout=120, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    told = {}
    for name, root in (("wheel", installed), ("source", source)):
        command = [sys.executable, "-c", MAKE, str(tmp_path / f"made-{name}")]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
        told[name] = json.loads(done.stdout)
    assert told["wheel"]["capabilities"] == str(installed / "gateway/_shipped/tools/opa/capabilities.json")
    assert told["wheel"]["files"] == told["source"]["files"]
    assert told["wheel"]["library"] == len(list((ROOT / "library/policies/mcp/org").glob("*.rego"))) > 0
    for file in told["wheel"]["files"]:
        assert (tmp_path / "made-wheel" / file).read_bytes() == (tmp_path / "made-source" / file).read_bytes()

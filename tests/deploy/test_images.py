"""The Dockerfile installs what is tested here, hash by hash, and holds neither root nor a builder."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def pins(file: Path) -> dict[str, frozenset[str]]:
    """`name==version` -> hashes."""
    found = re.findall(r"^([A-Za-z0-9._-]+==[^ ;\\]+)[^\n]*((?:\n {4}--hash=\S+[^\n]*)+)", file.read_text(), re.M)
    return {name: frozenset(re.findall(r"sha256:[0-9a-f]{64}", hashes)) for name, hashes in found}


def test_image_installs_a_subset_of_what_the_tests_run_with() -> None:
    image, tested = pins(ROOT / "deploy/gateway/requirements.txt"), pins(ROOT / "requirements.txt")
    assert {name: hashes for name, hashes in image.items() if tested.get(name) != hashes} == {}


def test_image_has_every_dependency_and_no_tool_for_developers() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {_name(each) for each in project["project"]["dependencies"] + project["build-system"]["requires"]}
    unwanted = {_name(each) for each in project["project"]["optional-dependencies"]["dev"]} - wanted
    installed = {_name(each) for each in pins(ROOT / "deploy/gateway/requirements.txt")}
    assert (wanted - installed, unwanted & installed) == (set(), set())


def test_no_stage_that_is_shipped_ends_as_root() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]
    users: dict[str, str] = {}
    for stage in stages:
        origin, name = re.match(r"(\S+) AS (\S+)", stage).groups()  # type: ignore[union-attr]
        users[name] = (re.findall(r"^USER (\S+)$", stage, re.M) or [users.get(origin, "root")])[-1]
    assert users == {"build": "root", "base": "10001:10001", "demo": "10001:10001", "gateway": "10001:10001"}


def test_a_build_without_a_target_makes_the_gateway() -> None:
    assert re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.M)[-1] == "gateway"


def test_nothing_is_installed_without_its_hash_and_no_cache_is_kept() -> None:
    installs = re.findall(r"pip install ([^&\n]*)", DOCKERFILE)
    assert [("--require-hashes" in each or "--no-deps" in each) and "--no-cache-dir" in each for each in installs] == [True, True]


def test_only_named_paths_are_sent_to_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.M)
    assert sorted(copied) == sorted(line[1:] for line in lines if line.startswith("!"))


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]|==", requirement)[0].lower().replace("_", "-")

"""The settings, keys, policies and scrape targets of compose.yaml fit each other and the gateway."""

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.identity import api_keys
from gateway.settings.load import load
from tools import demo_keys

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def environment(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "keys.env").read_text().splitlines())


def test_gateway_understands_its_settings_with_the_demo_keys(tmp_path: Path) -> None:
    demo_keys.kept(tmp_path)
    settings = load(ROOT / "deploy/gateway/gateway.yaml", environment(tmp_path))
    assert [(each.id, each.subject, each.groups) for each in settings.identity.api_keys] == [
        ("analyst", "analyst@example.com", ("analysts",)),
        ("engineer", "engineer@example.com", ("engineers",)),
        ("unknown", "unknown@example.com", ()),
    ]


def test_each_demo_key_is_recognised_by_the_entry_that_holds_its_hash(tmp_path: Path) -> None:
    keys = demo_keys.kept(tmp_path)
    settings = load(ROOT / "deploy/gateway/gateway.yaml", environment(tmp_path))
    held = api_keys.by_id(
        api_keys.ApiKey(each.id, bytes.fromhex(each.sha256), each.subject, each.type, each.groups)
        for each in settings.identity.api_keys
    )
    granted = {name: api_keys.verified(key, held, now_s=0.0).subject for name, key in keys.items()}
    assert {name: subject.groups for name, subject in granted.items()} == {
        "analyst": ("analysts",),
        "engineer": ("engineers",),
        "unknown": (),
    }


def test_keys_are_kept_by_a_second_run_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first = demo_keys.kept(folder)
    assert demo_keys.kept(folder) == first == json.loads((folder / "keys.json").read_text())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {"keys": 0o700, "keys.json": 0o600, "keys.env": 0o600}
    assert not any(key.rsplit("_", 1)[1] in (folder / "keys.env").read_text() for key in first.values())


def test_settings_name_services_and_mounts_that_exist() -> None:
    settings = yaml.safe_load((ROOT / "deploy/gateway/gateway.yaml").read_text())
    services, mounts = COMPOSE["services"], {each.split(":")[1] for each in COMPOSE["services"]["gateway"]["volumes"]}
    for name, backend in settings["backends"].items():
        port = services[name]["command"][-1]
        assert backend["url"] == f"http://{name}:{port}/mcp"
    assert f"--addr=unix://{settings['opa']['url'].removeprefix('unix:')}" in services["opa"]["command"]
    assert {settings["policy"]["folder"], str(Path(settings["audit"]["folder"]).parent)} <= mounts
    assert (settings["operations"]["port"], settings["listen"]["port"]) == (9090, 8080)


def test_prometheus_scrapes_the_gateway_opa_and_itself() -> None:
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert {each["job_name"]: each["static_configs"] for each in scraped} == {
        "prometheus": [{"targets": ["127.0.0.1:9090"]}],
        "gateway": [{"targets": ["gateway:9090"]}],
        "opa": [{"targets": ["opa:8282"]}],
    }


def test_promtool_accepts_the_scrape_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = subprocess.run(
        [promtool, "check", "config", str(ROOT / "deploy/prometheus/prometheus.yml")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "bundle"
    target.mkdir()
    yield target


def bundled(policies: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    script = ROOT / "deploy/opa/bundle.py"
    arguments = [policies, ROOT / "schemas", ROOT / "deploy/opa/authz.rego", target]
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )


def test_bundle_holds_the_policies_and_the_door_and_has_a_revision(bundle: Path) -> None:
    done = bundled(ROOT / "policies", bundle)
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((bundle / ".manifest").read_text())
    assert manifest == {"revision": manifest["revision"], "roots": ["mcp", "system/authz"]}
    assert f"revision {manifest['revision']}" in done.stdout
    inside = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    policies = {str(path.relative_to(ROOT / "policies")) for path in (ROOT / "policies").rglob("*") if path.is_file()}
    assert inside == policies | {".manifest", "system/authz.rego"}
    assert [path for path in bundle.rglob("*") if path.stat().st_mode & 0o044 != 0o044] == [], "OPA is another user"


def test_an_edited_policy_has_another_revision_and_a_removed_one_is_gone(bundle: Path, tmp_path: Path) -> None:
    edited = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", edited)
    (edited / "mcp/extra.rego").write_text("package mcp.extra\n")
    assert bundled(edited, bundle).returncode == 0
    before = json.loads((bundle / ".manifest").read_text())["revision"]
    (edited / "mcp/extra.rego").unlink()
    assert bundled(edited, bundle).returncode == 0
    assert json.loads((bundle / ".manifest").read_text())["revision"] != before
    assert not (bundle / "mcp/extra.rego").exists()


def test_a_policy_folder_that_opa_would_misread_leaves_the_last_bundle(bundle: Path, tmp_path: Path) -> None:
    bundled(ROOT / "policies", bundle)
    before = (bundle / ".manifest").read_text()
    edited = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", edited)
    (edited / "mcp/facts/more.yaml").write_text("version: 1\n")
    done = bundled(edited, bundle)
    assert (done.returncode, (bundle / ".manifest").read_text()) == (1, before)
    assert done.stderr.startswith("mcp/facts/more.yaml:0: OPA would leave this file out")

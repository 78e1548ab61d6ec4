"""The settings, keys, policies and scrape targets of compose.yaml fit each other and the gateway."""

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.opa import bundle_server
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
    assert not any(key.split("_", 2)[2] in (folder / "keys.env").read_text() for key in first.values())


def test_settings_name_services_and_mounts_that_exist() -> None:
    settings = yaml.safe_load((ROOT / "deploy/gateway/gateway.yaml").read_text())
    services, mounts = COMPOSE["services"], {each.split(":")[1] for each in COMPOSE["services"]["gateway"]["volumes"]}
    for name, backend in settings["backends"].items():
        port = services[name]["command"][-1]
        assert backend["url"] == f"http://{name}:{port}/mcp"
    assert f"--addr=unix://{settings['opa']['url'].removeprefix('unix:')}" in services["opa"]["command"]
    assert {settings["policy"]["folder"], str(Path(settings["audit"]["folder"]).parent)} <= mounts
    opa = yaml.safe_load((ROOT / "deploy/opa/opa.yaml").read_text())
    assert opa["services"]["policies"]["url"] == f"http://policies:{services['policies']['command'][0]}"
    assert "/" + opa["bundles"]["mcp"]["resource"] == bundle_server.BUNDLE
    assert (settings["operations"]["port"], settings["listen"]["port"]) == (9090, 8080)


def test_the_gateway_takes_requests_from_the_published_port_only() -> None:
    settings = yaml.safe_load((ROOT / "deploy/gateway/gateway.yaml").read_text())
    (edge,) = COMPOSE["networks"]["edge"]["ipam"]["config"]
    assert settings["listen"]["trusted_proxies"] == [edge["gateway"]]


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

"""compose.yaml is what the published schema allows, and each of its services is as closed as we promise."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "compose.yaml"


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(PUBLISHED.read_text())
    return document


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def schema() -> dict[str, Any]:
    """The compose specification's own JSON Schema, as the package check-jsonschema carries it."""
    try:
        package = resources.files("check_jsonschema")
    except ModuleNotFoundError:
        pytest.skip("the package check-jsonschema, which carries the published compose schema, is not installed")
    told: dict[str, Any] = json.loads((package / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    return told


def test_compose_file_is_valid_by_the_published_schema() -> None:
    validator = jsonschema.validators.validator_for(schema())(schema())
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(compose())] == []


def test_published_schema_refuses_a_key_that_compose_does_not_know() -> None:
    document = compose()
    document["services"]["gateway"]["read_onli"] = True
    with pytest.raises(jsonschema.ValidationError, match="read_onli"):
        jsonschema.validate(document, schema())


@each_service
def test_no_service_runs_as_root(name: str) -> None:
    user = SERVICES[name]["user"]
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user), f"{name} runs as {user!r}: numbers are needed, and neither may be 0"


@each_service
def test_every_service_is_read_only_and_can_gain_no_privilege(name: str) -> None:
    service = SERVICES[name]
    told = {key: service.get(key) for key in ("read_only", "cap_drop", "security_opt", "privileged", "cap_add", "devices")}
    assert told == {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "privileged": None,
        "cap_add": None,
        "devices": None,
    }


@each_service
def test_files_of_the_repository_are_mounted_read_only(name: str) -> None:
    mounts = [each.split(":") for each in SERVICES[name].get("volumes", [])]
    assert [each for each in mounts if each[0].startswith((".", "/")) and each[2:] != ["ro"]] == []
    assert [each[0] for each in mounts if each[0].startswith((".", "/")) and not (ROOT / each[0]).exists()] == []


@each_service
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    service = SERVICES[name]
    if service["image"].startswith("localhost/"):
        assert "build" in service or service["pull_policy"] == "never", "ours is built, never pulled"
    else:
        assert re.fullmatch(r"[a-z.]+/[a-z/]+:v?[0-9]+\.[0-9]+\.[0-9]+[a-z-]*", service["image"])


@each_service
def test_every_service_has_a_health_check(name: str) -> None:
    assert set(SERVICES[name]["healthcheck"]) == {"test", "interval", "timeout", "retries", "start_period"}
    assert (SERVICES[name]["healthcheck"]["test"][0], SERVICES[name]["restart"]) == ("CMD", "unless-stopped")


def test_only_the_gateway_publishes_a_port_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:${GATEWAY_PORT:-8080}:8080"]}


def test_only_the_gateway_can_leave_the_internal_networks() -> None:
    networks = compose()["networks"]
    internal = {name for name, network in networks.items() if network.get("internal")}
    outside = {name for name, service in SERVICES.items() if set(service.get("networks", ())) - internal}
    assert (internal, outside) == ({"backends", "monitoring", "policy"}, {"gateway"})
    assert [name for name, service in SERVICES.items() if "networks" not in service or "network_mode" in service] == []


def test_only_opa_can_reach_the_policies_and_only_the_gateway_the_demo_servers() -> None:
    on = {
        name: sorted(each for each, service in SERVICES.items() if name in service["networks"]) for name in compose()["networks"]
    }
    assert on == {
        "edge": ["gateway"],
        "backends": ["crm", "deploy", "gateway"],
        "policy": ["opa", "policies"],
        "monitoring": ["gateway", "opa", "prometheus"],
    }


def test_opa_is_reached_over_a_socket_by_the_gateway_alone_and_asks_system_authz() -> None:
    command = SERVICES["opa"]["command"]
    assert [each for each in command if each.startswith("--addr")] == ["--addr=unix:///run/opa/opa.sock"]
    assert "--authorization=basic" in command
    holders = {name for name, each in SERVICES.items() if any(m.startswith("opa-socket:") for m in each.get("volumes", ()))}
    assert holders == {"opa", "gateway"}


def test_sidecar_is_the_opa_version_that_the_policies_are_tested_with() -> None:
    pinned = re.search(r"^require github.com/open-policy-agent/opa v(\S+)", (ROOT / "tools/opa/go.mod").read_text(), re.M)
    assert pinned
    assert SERVICES["opa"]["image"] == f"docker.io/openpolicyagent/opa:{pinned[1]}-static"


def test_no_secret_stands_in_the_files() -> None:
    for service in SERVICES.values():
        assert "environment" not in service
    assert SERVICES["gateway"]["env_file"].startswith(".run/"), "a folder that git ignores"
    assert "/.run/" in (ROOT / ".gitignore").read_text().splitlines()

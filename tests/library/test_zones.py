"""A misspelt time zone: told with its place before a set is loaded, and where such facts decide all the same, a refusal."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gateway.lifecycle.making.library import copy
from gateway.lifecycle.making.repository import make
from gateway.policy.structure import Finding
from tests.lifecycle.repositories import only
from tests.policies.conftest import opa_binary, serve  # noqa: F401 — fixtures
from tests.policies.demo import PINNED, Opa, asked, resource

SETTINGS = "mcp/facts/settings/time_windows/data.yaml"
WINDOWS = """\
labels:
  personal:
    - {zone: UTC, days: [Monday], from: "08:00", until: "18:00"}
    - {zone: ZONE, days: [Monday], from: "08:00", until: "18:00"}
"""


def bound(folder: Path, zone: str) -> Path:
    make(folder)
    copy(folder, "time_windows")
    (folder / "policies" / SETTINGS).write_text(WINDOWS.replace("ZONE", zone))
    return folder


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berln", "; did you mean 'Europe/Berlin'?"),
        ("Xq/Zzyzx_", ""),
        ("Europe/Berlin", None),
        ("America/Argentina/Ushuaia", None),
    ],
)
def test_a_zone_that_does_not_exist_is_told_with_its_place_when_a_set_is_loaded(
    tmp_path: Path, zone: str, said: str | None
) -> None:
    found = asyncio.run(only(bound(tmp_path / "ours", zone), "structure"))["structure"].findings
    path = "settings.time_windows.labels.personal.1.zone"
    wanted = Finding(f"policies/{SETTINGS}", 4, f"{path} is {zone!r}, which is no time zone{said}")
    assert found == (() if said is None else (wanted,))


def test_facts_with_such_a_zone_decide_nothing_about_what_hangs_on_it(
    serve: Callable[[Path], Opa],  # noqa: F811
    tmp_path: Path,
) -> None:
    policies = bound(tmp_path / "ours", "Europe/Berln") / "policies"
    facts = policies / "mcp/facts/data.yaml"
    told = yaml.safe_load(facts.read_text())
    told["items"]["crm"]["tool"] = {"a": {"labels": ["personal"]}, "b": {"labels": ["safe"]}}
    facts.write_text(yaml.safe_dump(told))
    for item in (policies / "mcp/facts/items").glob("data.*"):
        item.unlink()
    opa = serve(policies)
    on_a_monday_ns = 1_700_000_000_000_000_000 - 86_400 * 10**9
    status = {}
    for tool in ("a", "b"):
        question = asked([], [resource("tool", "crm", tool) | {"fingerprint": PINNED}], "request")
        question["context"]["time_ns"] = on_a_monday_ns
        status[tool] = opa.ask(question)[0]
    assert status == {"a": 500, "b": 200}

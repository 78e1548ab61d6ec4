"""A misspelt time zone: told with its place before a set is loaded, and where such facts decide all the same, a refusal."""

import asyncio
from collections.abc import Callable
from datetime import datetime
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


BERLIN = """\
labels:
  personal:
    - {zone: Europe/Berlin, days: [Sunday], from: "02:00", until: "03:00"}
    - {zone: Europe/Berlin, days: [Sunday], from: "22:00", until: "24:00"}
    - {zone: Asia/Kathmandu, days: [Monday], from: "09:00", until: "09:30"}
"""


def test_windows_are_by_the_clock_on_the_wall_when_it_is_put_forward_and_back(
    serve: Callable[[Path], Opa],  # noqa: F811
    tmp_path: Path,
) -> None:
    policies = bound(tmp_path / "ours", "UTC") / "policies"
    (policies / SETTINGS).write_text(BERLIN)
    facts = policies / "mcp/facts/data.yaml"
    told = yaml.safe_load(facts.read_text())
    told["items"]["crm"]["tool"] = {"a": {"labels": ["personal"]}}
    facts.write_text(yaml.safe_dump(told))
    for item in (policies / "mcp/facts/items").glob("data.*"):
        item.unlink()
    opa = serve(policies)

    def is_open(at: str) -> bool:
        question = asked([], [resource("tool", "crm", "a") | {"fingerprint": PINNED}], "request")
        question["context"]["time_ns"] = int(datetime.fromisoformat(at).timestamp()) * 10**9
        return "org/time_windows" not in {denial["rule"] for denial in opa.decide(question)["denials"]}

    moments = {
        "2026-03-22T02:30:00+01:00": True,
        "2026-03-29T00:59:59+00:00": False,  # from 01:59:59 it goes on with 03:00: there is no such hour on this Sunday
        "2026-03-29T01:00:00+00:00": False,
        "2026-10-25T00:30:00+00:00": True,  # 02:30
        "2026-10-25T01:30:00+00:00": True,  # 02:30 again
        "2026-10-25T02:00:00+00:00": False,
        "2026-10-25T22:59:59+00:00": True,  # the last second of Sunday
        "2026-10-25T23:00:00+00:00": False,
        "2026-10-26T03:15:00+00:00": True,  # 09:00, a quarter of an hour off
        "2026-10-26T03:44:59+00:00": True,
        "2026-10-26T03:14:59+00:00": False,
        "2026-10-26T03:45:00+00:00": False,
    }
    assert {at: is_open(at) for at in moments} == moments

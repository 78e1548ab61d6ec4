"""API keys as they are used: made and revoked by the command line while the gateway runs, in force within a second, recorded."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tests.flows.running import PATIENCE_S, ROOT, TESTERS, Http, Running, gateway, granting, said, soon

ENDLESS_NS = 4_000_000_000_000_000_000


def keys(folder: Path, *arguments: str) -> str:
    """`mcp-gateway keys …` beside the gateway, which is another process; the token where one is shown."""
    done = CliRunner().invoke(app, ["keys", *arguments, "--file", str(folder / "keys.jsonl")])
    assert done.exit_code == 0, done.stderr
    return done.stderr.strip().removeprefix("token, shown only now: ")


@pytest.fixture(scope="module")
def running(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("keys")
    keys(folder, "create", "first")
    settings: dict[str, Any] = {
        "identity": {"key_file": str(folder / "keys.jsonl")},
        "surfaces": {"default": {}, "engineering": {}},
        "limits": {"failed_logins_per_minute": 30},
    }
    policies = granting(folder, "new")
    with gateway(folder, {"new": places["new"]}, {"ada": {}}, policies=policies, **settings) as running:
        yield running


def status(running: Running, token: str, surface: str = "default") -> int:
    with Http(running, None, surface) as http:
        http.client.headers["Authorization"] = f"Bearer {token}"
        return http.modern("server/discover").status_code


def tools(running: Running, token: str) -> int:
    """How many are listed."""
    with Http(running, None) as http:
        http.client.headers["Authorization"] = f"Bearer {token}"
        return len(said(http.modern("tools/list"))["result"]["tools"])


def within_a_second(happened: Callable[[], bool]) -> None:
    began_s = time.monotonic()
    soon(happened)
    assert time.monotonic() - began_s < 2.0  # one second, and one more for a machine that is busy with other tests


def changes(running: Running) -> list[dict[str, Any]]:
    return [line for line in running.audit() if line["type"] == "change" and line["subsystem"] == "keys"]


def strangers(running: Running) -> list[dict[str, Any]]:
    return [line for line in running.audit() if line["type"] == "refusal" and "subject" not in line]


def test_a_new_key_counts_and_a_revoked_one_is_out_within_a_second(running: Running) -> None:
    token = keys(running.folder, "create", "ci", "--surface", "engineering")
    within_a_second(lambda: status(running, token, "engineering") == 200)
    assert status(running, token) == 403
    keys(running.folder, "revoke", "ci")
    within_a_second(lambda: status(running, token, "engineering") == 401)
    details = [line["detail"] for line in changes(running) if "detail" in line]
    assert details[-2:] == [{"added": ["ci"]}, {"revoked": ["ci"]}]


def test_two_keys_of_one_subject_count_while_they_are_rotated(running: Running) -> None:
    old = keys(running.folder, "create", "old", "--subject", "builds")
    new = keys(running.folder, "rotate", "old", "new", "--overlap", "1d")
    soon(lambda: status(running, new) == 200)
    assert status(running, old) == 200
    keys(running.folder, "revoke", "old")
    soon(lambda: status(running, old) == 401)
    assert status(running, new) == 200


def test_a_broken_key_file_lets_nobody_in_or_out_and_readiness_and_audit_say_so(running: Running) -> None:
    token = keys(running.folder, "create", "good")
    soon(lambda: status(running, token) == 200)
    path = running.folder / "keys.jsonl"
    whole = path.read_bytes()
    try:
        path.write_text('{"id": "intruder"}\n')
        soon(lambda: "the key file is not in force" in httpx2.get(f"{running.operations_url}/readyz").text)
        assert status(running, token) == 200
        last = changes(running)[-1]
        assert (last["accepted"], last["detail"]) == (
            False,
            {"findings": [f"{path}: line 1: not a key: Object missing required field `subject`"]},
        )
    finally:
        path.write_bytes(whole)
    soon(lambda: "the key file" not in httpx2.get(f"{running.operations_url}/readyz").text)
    assert httpx2.get(f"{running.operations_url}/readyz").status_code == 200


def test_neither_hash_nor_token_is_in_the_log_or_the_audit(running: Running) -> None:
    token = keys(running.folder, "create", "shy")
    soon(lambda: status(running, token) == 200)
    hashes = [
        line.split('"sha256":"')[1][:64] for line in (running.folder / "keys.jsonl").read_text().splitlines() if "sha256" in line
    ]
    told = running.log + "".join(file.read_text() for file in (running.folder / "audit").glob("*.jsonl"))
    assert not [secret for secret in (*hashes, token.split("_", 2)[2]) if secret in told]


def test_a_key_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys.jsonl").write_text("{}")
    (tmp_path / "keys.jsonl").chmod(0o666)
    (tmp_path / "gateway.yaml").write_text("backends: {crm: {url: 'http://127.0.0.1:1/mcp'}}\nidentity: {key_file: keys.jsonl}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "serve", "--settings", str(tmp_path / "gateway.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    told = f"identity.key_file: {tmp_path}/keys.jsonl: others than its owner may write it (mode 0666): chmod go-w it"
    assert (done.returncode, [line for line in done.stderr.splitlines() if "identity.key_file" in line]) == (
        2,
        [f"{tmp_path}/gateway.yaml: {told}"],
    )


def test_a_key_blocked_by_the_facts_sees_nothing_within_a_second_and_its_subjects_other_key_everything(running: Running) -> None:
    groups = [part for group in TESTERS for part in ("--group", group)]
    stolen = keys(running.folder, "create", "stolen", "--subject", "builds2", *groups)
    other = keys(running.folder, "rotate", "stolen", "other")
    soon(lambda: status(running, other) == 200)
    soon(lambda: tools(running, stolen) == tools(running, other) > 0)
    facts = running.folder / "policies/mcp/facts/data.yaml"
    before = facts.read_text()
    try:
        facts.write_text(before.replace("blocks: []", f"blocks: [{{what: key, key: stolen, until_ns: {ENDLESS_NS}}}]"))
        within_a_second(lambda: tools(running, stolen) == 0)
        assert tools(running, other) > 0
        listing = [line for line in running.audit() if line["type"] == "listing" and line["subject"]["id"] == "builds2"]
        assert "facts/blocks" in listing[-2]["items"]["hidden_by"]
    finally:
        facts.write_text(before)
    soon(lambda: tools(running, stolen) > 0)


def test_an_address_whose_logins_fail_is_told_to_wait_and_its_good_keys_pass(running: Running) -> None:
    """Last in its file: the address is everybody's here."""
    token = keys(running.folder, "create", "patient")
    soon(lambda: status(running, token) == 200)
    before = len(strangers(running))
    with Http(running, None) as http:
        http.client.headers["Authorization"] = "Bearer mgw_patient_" + "A" * 43
        answers = [http.modern("server/discover") for _ in range(60)]
    assert [answer.status_code for answer in answers[-30:]] == [429] * 30
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert said(answers[-1])["error"] == {
        "code": 1429,
        "message": f"Too many logins from this address have failed: come back in {answers[-1].headers['retry-after']} s.",
    }
    assert status(running, token) == 200
    figures = httpx2.get(f"{running.operations_url}/metrics").text
    assert "mcp_gateway_limited_sources 1.0" in figures
    assert 'mcp_gateway_failed_logins_total{cause="unknown_key"}' in figures
    assert len(strangers(running)) - before <= 2 * 20  # singles of two periods at most; the others are summed up

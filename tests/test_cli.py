"""The command line: help with an example, exit codes that mean something, a line for every mistake, never a traceback."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.identity.api_keys import ApiKey, verified
from gateway.settings.load import load
from tests.flows.running import ROOT, gateway
from tools.binaries import find

WAIT_S = 30.0


def ran(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command as a user runs it. No output of any run may hold a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def settings(folder: Path, **groups: Any) -> Path:
    """A file that would do, but for what `groups` say."""
    told = {
        "listen": {"port": 0},
        "operations": {"port": 0},
        "policy": {"folder": str(ROOT / "policies"), "schemas": str(ROOT / "schemas")},
        "opa": {"binary": find("opa")},
        "backends": {"crm": {"url": "http://127.0.0.1:1/mcp"}},
        "identity": {"api_keys": [{"id": "ci", "sha256": "0" * 64, "subject": "ci"}]},
        "audit": {"folder": str(folder / "audit")},
        "catalog": {"start_wait_s": 0.1},
    }
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump({**told, **groups}))
    return path


def misread(path: Path) -> list[str]:
    """What `serve` says of a file that is not even read as settings: nothing has begun by then, so it may run in here."""
    done = CliRunner().invoke(app, ["serve", "--settings", str(path)])
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr
    return _lines(path, done.stderr)


def refusals(path: Path, **environment: str) -> list[str]:
    """What `serve` says of the settings in `path`, line by line."""
    done = ran("serve", "--settings", str(path), **environment)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    return _lines(path, done.stderr)


def _lines(path: Path, said: str) -> list[str]:
    lines = said.splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines), lines
    return [line.removeprefix(f"{path}: ") for line in lines]


# --- wrong settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"backends: [", "not YAML: while parsing a flow node", id="no YAML"),
        pytest.param(b"backends: \xff", "not UTF-8: invalid start byte at byte 10", id="no text"),
        pytest.param(b"? [a]\n: 1\n", "not YAML: a key must be a plain value", id="a list as a key"),
        pytest.param(b"[" * 20_000, "not YAML that is settings: nested too deeply", id="an abyss"),
        pytest.param(b"backends: 2026-99-99", "not YAML: month must be in 1..12", id="no date"),
    ],
)
def test_what_is_no_settings_file_is_told_in_one_line(tmp_path: Path, text: bytes, expected: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(text)
    (line,) = misread(path)
    assert line.startswith(expected)


def test_every_mistake_of_form_has_its_line(tmp_path: Path) -> None:
    path = settings(tmp_path, lissen={}, listen={"port": "http"}, surfaces={"A": {}})
    assert [line.split(":")[0] for line in misread(path)] == ["listen.port", "surfaces.A.[key]", "lissen"]


def test_every_mistake_of_sense_has_its_line(tmp_path: Path) -> None:
    path = settings(
        tmp_path,
        surfaces={"a": {"backends": ["nope"]}, "b": {"bare": True, "backends": []}},
        listen={"host": "0.0.0.0", "tls_key": "key.pem"},
    )
    assert misread(path) == [
        "settings: surfaces.a.backends names nope, which `backends` does not have",
        "settings: listen.host is beyond loopback: set tls_cert and tls_key, or name the proxies in front in trusted_proxies",
        "settings: listen.tls_cert and listen.tls_key go together",
    ]


def test_every_mistake_that_shows_before_the_start_has_its_line(tmp_path: Path) -> None:
    key = {"id": "ci", "sha256": "0" * 64, "subject": "ci"}
    path = settings(
        tmp_path,
        listen={"port": 0, "tls_cert": "none.pem", "tls_key": "none.pem"},
        identity={
            "api_keys": [key, key],
            "issuers": [{"issuer": "https://idp", "audience": ["x"], "jwks_url": "http://idp.example.com/keys"}],
        },
        opa={"binary": "no-such-opa"},
        backends={
            "crm": {"url": "https://crm.internal/mcp", "tls": {"ca": "none.pem"}},
            "wiki": {"url": "http://127.0.0.1:1/mcp", "credential": {"env": "NOT_SET"}},
            "files": {"url": "http://127.0.0.1:1/mcp", "credential": {"file": "none"}},
            "notes": {"url": "http://127.0.0.1:1/mcp", "credential": {"env": "BROKEN"}},
        },
        surfaces={"default": {"rename": {"crm__find": "wiki__find"}}, "other": {"rename": {"crm__a": "x", "wiki__a": "x"}}},
    )
    assert refusals(path, BROKEN="two\nlines") == [
        f"listen.tls_cert: {tmp_path}/none.pem: No such file or directory",
        "identity.api_keys: two API keys have the id ci",
        "identity.issuers: https://idp: jwks_url must be an https URL (or http on loopback): issuers are asked over https only",
        "opa.binary: no program 'no-such-opa'; install OPA, name its path here, or ask a sidecar with opa.url",
        "backends.crm: its TLS files cannot be used: [Errno 2] No such file or directory",
        f"backends.files: credential: {tmp_path}/none: a setting takes its secret from it, but: No such file or directory",
        "backends.notes: credential: the secret in BROKEN: it is empty, has a line break within, or is not ASCII",
        "backends.wiki: credential: the environment variable NOT_SET is not set, but a setting takes its secret from it",
        "surfaces.default.rename: crm__find cannot be called wiki__find: wiki may have an item of its own under that name",
        "surfaces.other.rename: crm__a and wiki__a would both be called x",
    ]


def test_a_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_text("not a certificate\n")
    (line,) = refusals(settings(tmp_path, listen={"port": 0, "tls_cert": "tls.pem", "tls_key": "tls.pem"}))
    assert line.startswith(
        "listen.tls_cert, listen.tls_key: no certificate chain (PEM) and its private key, without a password: "
    )


def test_a_folder_that_cannot_hold_the_audit_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    (line,) = refusals(settings(tmp_path, audit={"folder": "taken/audit"}))
    assert line == f"audit.folder: {tmp_path}/taken/audit: cannot be written (Not a directory)"


@pytest.mark.parametrize("listener", ["listen", "operations"])
def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = refusals(settings(tmp_path, **{listener: {"port": port}}))
    assert line == f"{listener}: cannot listen on 127.0.0.1:{port}: address already in use"
    assert not (tmp_path / "audit").exists()


def test_a_folder_whose_audit_another_gateway_writes_is_no_mistake_of_the_settings(tmp_path: Path) -> None:
    with gateway(tmp_path, {"crm": "http://127.0.0.1:1/mcp"}, {"ada": {}}, catalog={"start_wait_s": 0.1}):
        done = ran("serve", "--settings", str(settings(tmp_path)))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r".*/audit: another gateway \(process \d+\) writes its audit there\n", done.stderr), done.stderr


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ((), "mcp-gateway serve --settings gateway.yaml"),
        (("serve",), "mcp-gateway serve --settings gateway.yaml"),
        (("catalog",), "mcp-gateway catalog diff --backend crm"),
        (("catalog", "export"), "mcp-gateway catalog export --settings gateway.yaml --into offered"),
        (("catalog", "diff"), "mcp-gateway catalog diff --settings gateway.yaml --backend crm --format markdown"),
        (("catalog", "pin"), "mcp-gateway catalog pin --settings gateway.yaml --backend crm"),
        (("keys",), "mcp-gateway keys create ci"),
        (("keys", "create"), "mcp-gateway keys create ci --owner ada@example.com --expires 90d --surface engineering"),
        (("keys", "rotate"), "mcp-gateway keys rotate ci ci2 --overlap 7d --expires 90d"),
        (("keys", "list"), "mcp-gateway keys list --settings gateway.yaml"),
        (("keys", "revoke"), "mcp-gateway keys revoke ci --settings gateway.yaml"),
    ],
)
def test_help_has_an_example(command: tuple[str, ...], example: str) -> None:
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [*command, "--help"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"Example: {example}" in done.stdout


# --- keys -------------------------------------------------------------------------------------------------------------


def test_what_keys_create_prints_is_settings_and_its_token_is_good(tmp_path: Path) -> None:
    done = ran("keys", "create", "ci")
    assert done.returncode == 0
    path = tmp_path / "gateway.yaml"
    path.write_text("backends: {crm: {url: 'http://127.0.0.1:1/mcp'}}\n" + done.stdout)
    (line,) = done.stderr.splitlines()
    assert_good(path, line.removeprefix("token, shown only now: "))


def test_keys_create_prints_json_for_machines(tmp_path: Path) -> None:
    told = json.loads(ran("keys", "create", "ci", "--json").stdout)
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps({"backends": {"crm": {"url": "http://127.0.0.1:1/mcp"}}, **told["settings"]}))
    assert_good(path, told["token"])


def assert_good(path: Path, token: str) -> None:
    (entry,) = load(path, {}).identity.api_keys
    key = ApiKey(id=entry.id, sha256=bytes.fromhex(entry.sha256), subject_id=entry.subject)
    assert verified(token, {"ci": key}, now_s=0.0).subject.identity.id == "ci"
    assert token not in path.read_text()


@pytest.mark.parametrize("id", ["", "a_b", "a-b", "é", "a" * 33])
def test_a_name_that_no_key_can_have_is_refused(id: str) -> None:
    done = CliRunner().invoke(app, ["keys", "create", id])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "an API key's id is 1 to 32 letters and digits\n"

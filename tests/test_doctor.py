"""`mcp-gateway doctor` beside real issuers, backends, policies and addresses: what is right, and all that can be wrong."""

import asyncio
import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from pytest_httpserver import HTTPServer
from werkzeug import Response

from gateway.assembly import policy as assembled
from gateway.doctor import Finding, backends, identity, place, policy, rollout, table
from gateway.doctor.examination import examined
from gateway.model import JsonObject
from gateway.policy import bundle
from gateway.policy.bundle_signature import signature
from gateway.settings.identity import Issuer
from gateway.settings.load import load
from gateway.settings.model import Settings
from tests.faults.stage import Asked, Backend
from tests.flows.running import PATIENCE_S, ROOT, TESTERS, Http, gateway, granting
from tests.peers.sdk_server import started_server
from tools.binaries import find

SECRET = "s3cret-that-nobody-may-see"
KEY = rsa.generate_private_key(65537, 2048)
JWKS = {"keys": [{**RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k"}]}


def looked(check: Awaitable[Sequence[Finding]]) -> list[Finding]:
    """A check's findings. None of them may hold a secret."""

    async def bounded() -> Sequence[Finding]:
        async with asyncio.timeout(3 * PATIENCE_S):
            return await check

    found = [*asyncio.run(bounded())]
    assert SECRET not in repr(found)
    return found


def states(found: Sequence[Finding]) -> dict[str, str]:
    return {each.what: each.state for each in found}


def told(folder: Path, **groups: Any) -> Settings:
    """Settings that would do, but for what `groups` say."""
    path = folder / "gateway.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "listen": {"port": 0},
                "operations": {"port": 0},
                "policy": {"folder": str(ROOT / "policies"), "schemas": str(ROOT / "schemas")},
                "opa": {"binary": find("opa")},
                "backends": {"crm": {"url": "http://127.0.0.1:1/mcp"}},
                "identity": {"api_keys": [{"id": "ci", "sha256": "0" * 64, "subject": "ci"}]},
                "audit": {"folder": str(folder / "audit")},
                **groups,
            }
        )
    )
    return load(path)


def trusted(issuer: str, **more: Any) -> Issuer:
    return Issuer.model_validate({"issuer": issuer, "audience": ["x"], **more})


# --- issuers ---


def test_an_issuer_that_works_is_told_with_its_keys_and_its_clock(httpserver: HTTPServer) -> None:
    base = httpserver.url_for("").rstrip("/")
    metadata = {"issuer": base, "jwks_uri": f"{base}/jwks", "token_endpoint": f"{base}/token"}
    httpserver.expect_request("/.well-known/openid-configuration").respond_with_json(metadata)
    httpserver.expect_request("/jwks").respond_with_json(JWKS)
    found = looked(identity.issuer(trusted(base), timeout_s=5))
    assert found == [
        Finding(f"issuer {base}", "ok", f"1 usable keys (RS256 1) from {base}/jwks"),
        Finding(f"issuer {base}: clock", "ok", "our clock and its clock are 0 s apart"),
    ] or found[1].detail.endswith("1 s apart")


def test_an_issuer_that_is_down_is_told(unused_port: int) -> None:
    issuer = trusted(f"http://127.0.0.1:{unused_port}")
    [found] = looked(identity.issuer(issuer, timeout_s=5))
    assert (found.state, "ConnectError" in found.detail, found.advice) == (
        "fail",
        True,
        "look whether the provider is up and can be reached from here",
    )


def test_an_issuer_whose_metadata_names_another_is_told(httpserver: HTTPServer) -> None:
    base = httpserver.url_for("").rstrip("/")
    other = {"issuer": "https://id.example.com", "jwks_uri": f"{base}/jwks", "token_endpoint": f"{base}/token"}
    for document in ("openid-configuration", "oauth-authorization-server"):
        httpserver.expect_request(f"/.well-known/{document}").respond_with_json(other)
    [found] = looked(identity.issuer(trusted(base), timeout_s=5))
    assert (found.state, found.advice) == ("fail", "`issuer` must be, letter for letter, what the provider's metadata says")


def test_keys_of_another_algorithm_are_told(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/jwks").respond_with_json(JWKS)
    issuer = trusted("https://id.example.com", jwks_url=httpserver.url_for("/jwks"), algorithms=["ES256"])
    found = looked(identity.issuer(issuer, timeout_s=5))[0]
    assert (found.state, found.advice) == ("fail", "add the algorithm that it signs with to its `algorithms`")
    assert found.detail.startswith("none of its 1 keys is for ES256; they are for PS256")


@pytest.mark.parametrize(("apart_s", "state"), [(20.0, "warn"), (120.0, "fail")])
def test_an_issuer_with_another_idea_of_the_time_is_told(apart_s: float, state: str) -> None:
    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(JWKS).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() - apart_s, usegmt=True)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        issuer = trusted("https://id.example.com", jwks_url=f"http://127.0.0.1:{server.server_port}/jwks")
        found = looked(identity.issuer(issuer, timeout_s=5))
        server.shutdown()
        thread.join()
    assert states(found)["issuer https://id.example.com: clock"] == state


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (401, "fail")])
def test_an_issuer_that_does_not_know_the_gateway_as_a_client_is_told(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, state: str
) -> None:
    monkeypatch.setenv("DOCTORS_SECRET", SECRET)
    httpserver.expect_request("/introspect", method="POST").respond_with_json({"active": False}, status=status)
    asked = {
        "url": httpserver.url_for("/introspect"),
        "client_id": "gw",
        "client_secret": {"env": "DOCTORS_SECRET"},
        "jwts": True,
    }
    issuer = trusted("https://id.example.com", introspection=asked)
    [found] = looked(identity.issuer(issuer, timeout_s=5))
    assert (found.what, found.state) == ("issuer https://id.example.com: introspection", state)
    assert httpserver.log[-1][0].form["token"] == "mcp-gateway-doctor"


def test_api_keys_that_have_expired_or_soon_will_are_told(tmp_path: Path) -> None:
    soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)).isoformat()
    keys = [
        {"id": id, "sha256": "0" * 64, "subject": id, **({"expires": expires} if expires else {})}
        for id, expires in (("old", "2020-01-01T00:00:00Z"), ("soon", soon), ("ever", None))
    ]
    [found] = looked(identity.keys(told(tmp_path, identity={"api_keys": keys})))
    assert (found.state, found.detail) == ("warn", "3 keys; expired: old; soon to expire: soon")


def test_a_key_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("nonsense\n")
    [found] = looked(identity.keys(told(tmp_path, identity={"key_file": "keys"})))
    assert (found.what, found.state, "line 1" in found.detail) == ("key file", "fail", True)


# --- backends ---


def test_a_backend_is_told_with_what_it_offers_and_what_nobody_has_reviewed(tmp_path: Path) -> None:
    with started_server("--name", "new", "--era", "modern") as new, started_server("--name", "old", "--era", "legacy") as old:
        asked = told(tmp_path, backends={"new": {"url": new.url}, "old": {"url": old.url}})
        modern, review = looked(backends.backend(asked, "new"))
        legacy, _ = looked(backends.backend(asked, "old"))
    assert (modern.state, modern.detail.startswith("modern era, new"), "1 resources" in modern.detail) == ("ok", True, True)
    assert (legacy.state, legacy.detail.startswith("legacy era: ")) == ("ok", True)
    assert (review.what, review.state, "not pinned: tool " in review.detail) == ("review of new", "warn", True)
    assert review.advice.startswith("review them, then `mcp-gateway catalog pin --backend new`")


def test_a_backend_that_is_down_is_told(tmp_path: Path, unused_port: int) -> None:
    [found] = looked(backends.backend(told(tmp_path, backends={"crm": {"url": f"http://127.0.0.1:{unused_port}/mcp"}}), "crm"))
    assert (found.what, found.state, found.detail.startswith("cannot be reached: ")) == ("backend crm", "fail", True)
    assert "ssl:" not in found.detail


def test_a_backend_that_does_not_accept_our_credential_is_told_without_the_credential(
    tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTORS_SECRET", SECRET)
    httpserver.expect_request("/mcp").respond_with_data(f"no, not {SECRET}", status=401)
    backend = {"url": httpserver.url_for("/mcp"), "credential": {"env": "DOCTORS_SECRET"}}
    [found] = looked(backends.backend(told(tmp_path, backends={"crm": backend}), "crm"))
    assert found == Finding(
        "backend crm",
        "fail",
        "does not accept the gateway's credential (401, 402, 403 or 407)",
        "look at its `credential`: the one that was sent does not count there",
    )


def test_a_pinned_item_that_has_changed_since_is_told(tmp_path: Path) -> None:
    peer = Backend("peer")
    peer.start()
    try:
        shutil.copytree(ROOT / "policies", tmp_path / "policies")
        pins = tmp_path / "policies/mcp/facts/items/data.json"
        pins.write_text(json.dumps({"peer": {"tool": {"act": {"fingerprint": "sha256:" + "0" * 64}}}}))
        asked = told(
            tmp_path,
            backends={"peer": {"url": peer.url}},
            policy={"folder": "policies", "schemas": str(ROOT / "schemas")},
        )
        _, review = looked(backends.backend(asked, "peer"))
        assert (review.state, review.detail) == ("warn", "1 changed since: tool act")
    finally:
        peer.end()


# --- policy ---


def changed_policies(folder: Path) -> Path:
    return Path(shutil.copytree(ROOT / "policies", folder / "policies"))


def policies_of(folder: Path) -> list[Finding]:
    return looked(policy.opa(told(folder, policy={"folder": "policies", "schemas": str(ROOT / "schemas")})))


def test_a_policy_set_that_would_be_in_force_is_told_with_its_revision(tmp_path: Path) -> None:
    changed_policies(tmp_path)
    opa, rules = policies_of(tmp_path)
    assert (opa.what, opa.state, opa.detail.startswith("1.")) == ("OPA", "ok", True)
    assert (rules.state, rules.detail.endswith("its canaries hold")) == ("ok", True)


def test_a_broken_rule_is_told_with_its_place(tmp_path: Path) -> None:
    (changed_policies(tmp_path) / "mcp/org/audit.rego").write_text("package mcp.org.audit\n\noblige contains x if {\n")
    _, *rules = policies_of(tmp_path)
    assert {each.state for each in rules} == {"fail"}
    assert any(each.detail.startswith("mcp/org/audit.rego:") for each in rules)


def test_a_canary_that_does_not_hold_is_told(tmp_path: Path) -> None:
    file = changed_policies(tmp_path) / "mcp/canaries/data.json"
    canaries = json.loads(file.read_text())
    wrong = next(each for each in canaries if each["expect"]["allowed"])
    canaries.append({**wrong, "name": "contrary", "expect": {"visible": [0], "allowed": []}})
    file.write_text(json.dumps(canaries))
    _, rules = policies_of(tmp_path)
    assert (rules.state, "canary 'contrary'" in rules.detail) == ("fail", True)


def test_a_set_that_is_refused_is_told_with_the_last_good_one_that_a_start_would_go_on_with(tmp_path: Path) -> None:
    rules = changed_policies(tmp_path)
    asked = told(tmp_path, policy={"folder": "policies", "schemas": str(ROOT / "schemas"), "history": "history"})

    async def kept() -> None:
        decider = assembled.decider(asked, lambda _: None)
        try:
            await decider.start()
        finally:
            await decider.close()

    asyncio.run(kept())
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "history").rglob("*"))
    (rules / "mcp/org/audit.rego").write_text("package mcp.org.audit\n\noblige contains x if {\n")
    _, *found, last = looked(policy.opa(asked))
    assert {each.state for each in found} == {"fail"}
    assert (last.state, last.detail.startswith("a gateway that starts now goes on with revision ")) == ("warn", True)
    assert last.detail.endswith(": rules accepted before")
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "history").rglob("*")) == before


def test_a_bundle_server_is_told_with_what_it_serves_who_signed_it_and_whether_it_was_fetched(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    key, rules = ec.generate_private_key(ec.SECP256R1()), changed_policies(tmp_path)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "k.pem").write_bytes(pem)

    def signed(age_s: float) -> bytes:
        files = {str(each.relative_to(rules)): each.read_bytes() for each in rules.rglob("*") if each.is_file()}
        claims: JsonObject = {"keyid": "k1", "iat": time.time() - age_s, "contents": bundle.digest(files)}
        return bundle.pack({**files, bundle.SIGNATURES: signature(key, claims)})

    served = [b"<html>"]
    httpserver.expect_request("/b.tar.gz").respond_with_handler(lambda _: Response(served[-1]))
    url = httpserver.url_for("/b.tar.gz")
    asked = told(
        tmp_path,
        policy={
            "server": {"url": url},
            "schemas": str(ROOT / "schemas"),
            "history": "history",
            "require_signed": {"keys": [{"id": "k1", "file": "k.pem"}], "max_age_s": 1000},
        },
    )
    advice = "a running gateway stays with the last good bundle; look at the server, its token and who signed"
    broken = Finding("policy server", "fail", f"{url}: the bundle is no whole gzip file", advice)
    assert looked(rollout.server(asked, "policy-server")) == [broken]
    assert [each.state for each in looked(policy.opa(asked))] == ["ok", "warn"]  # nothing was fetched yet

    served.append(signed(950.0))
    found, ends = looked(rollout.server(asked, "policy-server"))
    assert (found.state, found.detail.startswith(f"{url}: revision "), found.detail.endswith(", signed by k1")) == (
        "ok",
        True,
        True,
    )
    assert (ends.state, ends.detail) == ("warn", "its signature ends in 0 hours")

    (tmp_path / "history").mkdir()
    (tmp_path / "history/served.tar.gz").write_bytes(served[-1])
    assert looked(rollout.server(asked, "policy-server"))[0].detail.endswith(", which the gateway has, signed by k1")
    (rules / "mcp/facts/data.yaml").write_text((rules / "mcp/facts/data.yaml").read_text() + "# newer\n")
    served.append(signed(10.0))
    found, _ = looked(rollout.server(asked, "policy-server"))
    assert (found.state, ", newer than what the gateway fetched (" in found.detail) == ("warn", True)


def test_a_candidate_in_the_shadow_that_would_not_be_compared_is_told_and_is_no_failure(tmp_path: Path) -> None:
    rules = changed_policies(tmp_path)
    asked = told(tmp_path, policy={"schemas": str(ROOT / "schemas"), "shadow": {"folder": "policies"}})
    shadow = asked.policy.shadow
    assert shadow is not None
    [found] = looked(rollout.candidate(asked, shadow))
    assert (found.state, found.detail.endswith("its canaries hold")) == ("ok", True)
    (rules / "mcp/org/audit.rego").write_text("package mcp.org.audit\n\noblige contains x if {\n")
    assert {each.state for each in looked(rollout.candidate(asked, shadow))} == {"warn"}


def test_a_sidecar_that_does_not_answer_is_told(tmp_path: Path, unused_port: int) -> None:
    [found] = looked(policy.opa(told(tmp_path, opa={"url": f"http://127.0.0.1:{unused_port}"})))
    assert (found.what, found.state) == ("OPA sidecar", "fail")


# --- the place ---


def test_an_address_that_another_program_has_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen, operations = looked(place.listener(told(tmp_path, listen={"port": port})))
    assert listen == Finding(
        "listen", "fail", f"127.0.0.1:{port}: address already in use", "end the program that has it, or set listen.port"
    )
    assert operations.state == "ok"


def test_an_audit_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [found] = looked(place.audit(told(tmp_path, audit={"folder": "file/audit"})))
    assert (found.state, found.detail) == ("fail", f"{tmp_path}/file/audit: {tmp_path}/file is not a folder")
    if os.geteuid() != 0:  # who may do everything cannot be kept out by a mode
        (tmp_path / "closed").mkdir(mode=0o500)
        [found] = looked(place.audit(told(tmp_path, audit={"folder": "closed"})))
        assert (found.state, "cannot be written to" in found.detail) == ("fail", True)


def test_an_audit_folder_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    [found] = looked(place.audit(told(tmp_path)))
    assert (found.state, found.detail.endswith("will be made")) == ("ok", True)
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize(
    ("days", "name", "state", "said"),
    [
        (-2, "gateway.example.com", "fail", "it ended 2 days ago"),
        (3, "gateway.example.com", "warn", "it ends in 3 days"),
        (90, "gateway.example.com", "ok", "it ends in 90 days"),
        (90, "other.example.com", "warn", "it ends in 90 days, but it is not for gateway.example.com"),
    ],
)
def test_our_certificate_is_told_with_its_end_and_its_name(tmp_path: Path, days: int, name: str, state: str, said: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days, minutes=1 if days > 0 else -1)
    issued = trustme.CA().issue_cert(name, not_before=now - datetime.timedelta(days=100), not_after=ends)
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "tls.pem")
    listen = {"port": 0, "tls_cert": "tls.pem", "tls_key": "tls.pem", "public_url": "https://gateway.example.com"}
    [found] = looked(place.certificate(told(tmp_path, listen=listen)))
    assert (found.state, found.detail) == (state, said)


# --- the command ---


def doctor(path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "doctor", "--settings", str(path), *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "90", "DOCTORS_SECRET": SECRET},
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


def test_beside_a_gateway_that_runs_all_is_well_and_nothing_is_changed(tmp_path: Path) -> None:
    with started_server("--name", "new", "--era", "modern") as new:
        ports = []
        for _ in range(2):
            with socket.create_server(("127.0.0.1", 0)) as free:
                ports.append(free.getsockname()[1])
        with gateway(
            tmp_path,
            {"new": new.url},
            {"tester": {"groups": TESTERS}},
            policies=granting(tmp_path, "new"),
            listen={"port": ports[0]},
            operations={"port": ports[1]},
        ) as running:
            before = running.audit()
            done = doctor(tmp_path / "gateway.yaml", "--json", "--timeout-s", "40")
            found = json.loads(done.stdout)
            assert (done.returncode, found["ok"], done.stderr) == (0, True, "")
            by_name = {each["what"]: each for each in found["findings"]}
            assert by_name["listen"]["detail"] == f"127.0.0.1:{ports[0]}: in use by a gateway that runs"
            assert f"(process {running.process.pid})" in by_name["audit"]["detail"]
            assert {name for name, each in by_name.items() if each["state"] == "warn"} == {"review of new"}
            assert running.audit() == before
            with Http(running, "tester") as http:
                assert http.modern("tools/list").status_code == 200


def test_what_fails_is_one_row_each_and_the_exit_code_says_so(tmp_path: Path, unused_port: int) -> None:
    told(
        tmp_path,
        backends={"crm": {"url": f"http://127.0.0.1:{unused_port}/mcp", "credential": {"env": "DOCTORS_SECRET"}}},
        opa={"binary": "/nowhere/opa"},
        audit={"folder": "gateway.yaml/audit"},
    )
    done = doctor(tmp_path / "gateway.yaml")
    assert (done.returncode, done.stderr) == (1, "")
    rows = done.stdout.splitlines()
    assert [row.split()[1] for row in rows if row.startswith("FAIL")] == ["settings", "audit", "backend", "policy"]
    assert max(map(len, rows)) <= 90
    assert rows[-1].endswith("4 failed")
    assert "\x1b" not in done.stdout


def test_settings_that_cannot_be_read_are_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("backends: {}\nsurprise: 1\n")
    done = doctor(tmp_path / "gateway.yaml")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 2)


def test_a_backend_that_hangs_costs_its_own_row_only(tmp_path: Path) -> None:
    class Hanging(Backend):
        def play(self, asked: Asked) -> None:
            assert self.release.wait(3 * PATIENCE_S)

    peer = Hanging("peer")
    peer.start()
    try:
        asked = told(tmp_path, backends={"peer": {"url": peer.url}}, opa={"binary": "/nowhere/opa"})
        found = asyncio.run(examined(asked, timeout_s=0.5))
        hung = [each for each in found if each.what == "backend peer"]
        assert hung == [
            Finding("backend peer", "fail", "no answer within 0.5 s", "look whether it is up, or give --timeout-s more")
        ]
        assert states(found)["audit"] == "ok"
    finally:
        peer.end()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.builds(Finding, st.text(), st.sampled_from(["ok", "warn", "fail"]), st.text(), st.text()), max_size=5))
def test_no_line_of_the_table_is_too_wide_or_steers_a_terminal(found: list[Finding]) -> None:
    for columns in (10, 80, 200):
        for line in table(found, columns=columns).split("\n"):
            assert len(line) <= max(80, min(columns, 120))
            assert line.isprintable()


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])

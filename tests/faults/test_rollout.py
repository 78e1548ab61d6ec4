"""A whole way: build and sign, load, roll out, refuse what was not signed, go back by one command, let go again."""

import json
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Response

from gateway.cli import app
from gateway.policy import bundle
from tests.faults.stage import Caller, backend, gateway, lines, ready, works
from tests.faults.test_policies import CLOSED
from tests.flows.running import GRANT, Running, soon
from tests.lifecycle.repositories import copied, replaced
from tools.binaries import find


def ran(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], env={"OPA": find("opa")})


def repository(folder: Path) -> Path:
    root = copied(folder)
    place = root / "policies/mcp/servers/crm1"
    place.mkdir()
    (place / "access.rego").write_text(GRANT.format(backend="crm1", condition='input.subject.type != "nobody"'))
    return root


def keys(folder: Path) -> Path:
    made = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir()
    (folder / "private.pem").write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "public.pem").write_bytes(made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return folder


def changes(running: Running) -> list[dict[str, Any]]:
    return [each for each in lines(running.folder / "audit") if each["type"] == "change" and each["subsystem"] == "policy"]


def test_signed_bundle_is_rolled_out_and_rolled_back_while_the_gateway_runs(tmp_path: Path) -> None:
    root, pair, packed = repository(tmp_path / "repository"), keys(tmp_path / "keys"), tmp_path / "policy.tar.gz"
    build = ("build", root, "-o", packed, "--signing-key", pair / "private.pem", "--key-id", "k1", "--label")
    assert ran(*build, "v1").exit_code == 0
    policy = {
        "bundle": str(packed),
        "schemas": str(root / "schemas"),
        "history": str(tmp_path / "history"),
        "require_signed": {"keys": [{"id": "k1", "file": str(pair / "public.pem")}]},
    }
    (tmp_path / "gateway").mkdir()
    with (
        backend("crm1") as crm,
        gateway(tmp_path / "gateway", {"crm1": crm.url}, policy=policy) as running,
        Caller(running) as ada,
    ):
        settings = running.folder / "gateway.yaml"
        assert works(ada, "crm1__act")

        (root / "policies/mcp/servers/crm1/closing.rego").write_text(CLOSED)
        assert ran(*build, "v2").exit_code == 0
        soon(lambda: not works(ada, "crm1__act"))

        read = bundle.read(packed.read_bytes())
        packed.write_bytes(bundle.pack(read.files))
        soon(lambda: "the bundle is not signed, and policy.require_signed is set" in ready(running)[1])
        assert not works(ada, "crm1__act")

        done = ran("rollback", "--settings", settings)
        assert (done.exit_code, done.stdout.startswith("revision v1."), done.stdout.endswith("is in force\n")) == (0, True, True)
        assert works(ada, "crm1__act")
        assert "was gone back to: newer sets wait" in ready(running)[1]

        kept = json.loads(ran("rollback", "--list", "--json", "--settings", settings).stdout)
        assert [each["revision"].partition(".")[0] for each in kept["kept"]] == ["v1", "v2"]
        assert kept["pinned"] == kept["in_force"] == kept["kept"][0]["revision"]

        assert ran(*build, "v3").exit_code == 0
        done = ran("rollback", "--release", "--settings", settings)
        assert (done.exit_code, done.stdout.startswith("revision v3.")) == (0, True)
        assert not works(ada, "crm1__act")

        told = [(each["accepted"], each.get("after", "").partition(".")[0]) for each in changes(running) if each["accepted"]]
        assert told == [(True, "v1"), (True, "v2"), (True, "v1"), (True, "v3")]
        assert {each["detail"]["signed_by"] for each in changes(running) if each["accepted"]} == {"k1"}
        last = [each for each in lines(running.folder / "audit") if each["type"] in {"exchange", "outcome"}][-1]
        assert last["decisions"][0]["revision"].startswith("v3.")


def test_bundle_of_a_server_decides_and_what_is_wrong_with_it_is_told(tmp_path: Path, httpserver: HTTPServer) -> None:
    root, packed = repository(tmp_path / "repository"), tmp_path / "policy.tar.gz"
    assert ran("build", root, "-o", packed).exit_code == 0
    httpserver.expect_request("/b.tar.gz").respond_with_handler(lambda request: Response(packed.read_bytes()))
    policy = {
        "server": {"url": httpserver.url_for("/b.tar.gz"), "poll_s": 0.1},
        "schemas": str(root / "schemas"),
        "history": str(tmp_path / "history"),
    }
    (tmp_path / "gateway").mkdir()
    with (
        backend("crm1") as crm,
        gateway(tmp_path / "gateway", {"crm1": crm.url}, policy=policy) as running,
        Caller(running) as ada,
    ):
        assert works(ada, "crm1__act")
        (root / "policies/mcp/servers/crm1/closing.rego").write_text(CLOSED)
        assert ran("build", root, "-o", packed).exit_code == 0
        soon(lambda: not works(ada, "crm1__act"))
        packed.write_bytes(b"<html>")
        soon(lambda: "the bundle is no whole gzip file" in ready(running)[1])
        assert ready(running)[0] == 200


def test_signed_facts_of_a_server_block_and_nothing_older_lifts_the_block(tmp_path: Path, httpserver: HTTPServer) -> None:
    root, pair = repository(tmp_path / "repository"), keys(tmp_path / "keys")
    rules, facts = tmp_path / "rules.tar.gz", tmp_path / "facts.tar.gz"
    signing = ("--signing-key", pair / "private.pem", "--key-id", "k1")
    assert ran("build", root, "-o", rules, "--without-facts", *signing).exit_code == 0
    assert ran("build", root, "-o", facts, "--only-facts", *signing).exit_code == 0
    httpserver.expect_request("/f.tar.gz").respond_with_handler(lambda request: Response(facts.read_bytes()))
    policy = {
        "bundle": str(rules),
        "facts_server": {"url": httpserver.url_for("/f.tar.gz"), "poll_s": 0.1},
        "schemas": str(root / "schemas"),
        "history": str(tmp_path / "history"),
        "require_signed": {"keys": [{"id": "k1", "file": str(pair / "public.pem")}], "max_age_s": 3600},
    }
    (tmp_path / "gateway").mkdir()
    with (
        backend("crm1") as crm,
        gateway(tmp_path / "gateway", {"crm1": crm.url}, policy=policy) as running,
        Caller(running) as ada,
    ):
        settings, open_facts = running.folder / "gateway.yaml", facts.read_bytes()
        assert works(ada, "crm1__act")
        told = root / "policies/mcp/facts/data.yaml"
        block = "blocks: [{what: backend, backend: crm1, until_ns: 4000000000000000000, reason: an incident}]"
        replaced(told, "blocks: []", block)
        done = ran("build", rules, "-o", facts, "--only-facts", "--facts", root / "policies/mcp/facts", *signing)
        assert done.exit_code == 0, done.output
        soon(lambda: not works(ada, "crm1__act"))
        facts.write_bytes(open_facts)
        soon(lambda: "the bundle of facts was signed" in ready(running)[1])
        assert not works(ada, "crm1__act")

        figures = httpx2.get(f"{running.operations_url}/metrics", timeout=5.0).text
        wanted = ("policy_newest_refused 1.0", "policy_fallback 0.0", 'policy_server_up{server="policy-facts-server"} 1.0')
        assert [each for each in wanted if f"mcp_gateway_{each}" not in figures] == []
        assert "mcp_gateway_policy_expires_timestamp_seconds" in figures

        done = ran("rollback", "--facts", "--settings", settings)
        assert done.exit_code == 0, done.output
        assert works(ada, "crm1__act")
        assert "newer facts, blocks among them, wait" in ready(running)[1]
        first, second, third = (each["detail"]["facts"] for each in changes(running) if each["accepted"])
        assert first == third != second
        assert {each["detail"].get("facts_signed_by") for each in changes(running) if each["accepted"]} == {"k1"}


def test_gateway_that_starts_with_a_bad_bundle_goes_on_with_the_last_good_one_and_says_so(tmp_path: Path) -> None:
    root, packed = repository(tmp_path / "repository"), tmp_path / "policy.tar.gz"
    assert ran("build", root, "-o", packed).exit_code == 0
    policy = {"bundle": str(packed), "schemas": str(root / "schemas"), "history": str(tmp_path / "history")}
    (tmp_path / "gateway").mkdir()
    with backend("crm1") as crm:
        with gateway(tmp_path / "gateway", {"crm1": crm.url}, policy=policy) as running, Caller(running) as ada:
            assert works(ada, "crm1__act")
        packed.write_bytes(b"<html>")
        (tmp_path / "again").mkdir()
        with gateway(tmp_path / "again", {"crm1": crm.url}, policy=policy) as running, Caller(running) as ada:
            assert works(ada, "crm1__act")
            status, body = ready(running)
            assert (status, "rules accepted before decide, since the newest is refused" in body) == (200, True)
            refused, accepted = changes(running)
            assert (refused["accepted"], accepted["accepted"], accepted["detail"]["fallback"]) == (False, True, ["rules"])
            assert ran("build", root, "-o", packed, "--label", "v2").exit_code == 0
            soon(lambda: "policy-fallback" not in ready(running)[1])


def test_rollback_that_is_asked_wrongly_is_told_what_there_is(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    known = "backends: {crm: {url: 'http://127.0.0.1:1/mcp'}}\nidentity: {api_keys: [{id: ci, sha256: '%s', subject: ci}]}\n"
    settings.write_text(known % ("0" * 64))
    done = ran("rollback", "--settings", settings)
    assert (done.exit_code, done.stderr) == (
        2,
        "the settings name no policy.history: the folder in which the gateway keeps accepted sets\n",
    )
    settings.write_text(known % ("0" * 64) + "policy: {history: history}\n")
    done = ran("rollback", "--settings", settings)
    assert (done.exit_code, done.stderr) == (
        2,
        "no policy set was accepted before the one in force; none is kept yet\n",
    )
    done = ran("rollback", "v1", "--release", "--settings", settings)
    assert (done.exit_code, done.stderr) == (2, "give one of REVISION, --release and --list\n")

"""The gateway in front of an issuer that it only knows by name: keys found by discovery, opaque tokens asked about."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.adapters.issuers.provider import key_set, token
from tests.flows.running import TESTERS, Http, Running, gateway, granting, soon

AUDIENCE = "https://gateway.example.com/mcp"
CLIENT_SECRET = "recognisable-client-secret"
OPAQUE = "recognisable-opaque-token"


@dataclass
class Named:
    """An issuer whose metadata, keys and answers change as the test wants."""

    server: HTTPServer
    keys: dict[str, Any] = field(default_factory=dict)
    active: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    @property
    def name(self) -> str:
        return self.server.url_for("").rstrip("/")

    def answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        if self.down:
            return Response("down", 503)
        match request.path:
            case "/.well-known/openid-configuration":
                told = {"issuer": self.name, "jwks_uri": f"{self.name}/jwks", "introspection_endpoint": f"{self.name}/introspect"}
                return Response(json.dumps(told))
            case "/jwks":
                return Response(json.dumps(key_set(**self.keys)))
            case "/introspect":
                expected = "Basic " + base64.b64encode(f"gateway:{CLIENT_SECRET}".encode()).decode()
                if request.headers.get("authorization") != expected:
                    return Response("{}", 401)
                [sent] = parse_qs(request.get_data(as_text=True))["token"]
                return Response(json.dumps(self.active.get(sent, {"active": False})))
            case _:
                return Response("", 404)

    def claims(self, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        told = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": "alice",
            "client_id": "cursor",
            "iat": now,
            "exp": now + 600,
            "jti": "1",
        }
        return {**told, "groups": [*TESTERS], **more}


@pytest.fixture
def named(httpserver: HTTPServer) -> Named:
    issuer = Named(httpserver)
    httpserver.expect_request("").respond_with_handler(issuer.answer)
    for path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks", "/introspect"):
        httpserver.expect_request(path).respond_with_handler(issuer.answer)
    return issuer


@pytest.fixture
def running(named: Named, places: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "secret").write_text(CLIENT_SECRET + "\n")
    setting = {
        "issuer": named.name,
        "audience": [AUDIENCE],
        "algorithms": ["ES256"],
        "introspection": {"client_id": "gateway", "client_secret": {"file": "secret"}, "remember_s": 0, "remember_refused_s": 0},
    }
    policies = granting(tmp_path, *places)
    with gateway(tmp_path, places, {}, policies=policies, identity={"issuers": [setting]}, log_level="debug") as running:
        yield running
        assert "Traceback" not in running.log


def _listed(running: Running, sent: str) -> httpx2.Response:
    with Http(running, None) as http:
        http.client.headers["Authorization"] = f"Bearer {sent}"
        return http.modern("tools/list")


def _metrics(running: Running) -> dict[str, float]:
    lines = httpx2.get(running.operations_url + "/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("mcp_gateway_i")}


def test_an_issuer_known_by_name_alone_vouches_for_jwts_and_opaque_tokens(named: Named, running: Running) -> None:
    signed = token(_made(named, "k0"), "k0", named.claims())
    soon(lambda: _listed(running, signed).status_code == 200)  # its keys are found, though it had none when the gateway started
    assert _listed(running, token(_made(named, "k1"), "k1", named.claims(jti="2"))).status_code == 200, "rotated"

    named.active[OPAQUE] = {"active": True, "token_type": "Bearer", **named.claims()}
    assert _listed(running, OPAQUE).status_code == 200
    del named.active[OPAQUE]
    refused = _listed(running, OPAQUE)
    assert refused.status_code == 401, "revoked, and not remembered beyond the settings"
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]

    named.down = True
    assert _listed(running, signed).status_code == 200, "verified, while the issuer is down"
    refused = _listed(running, OPAQUE + "-2")
    assert (refused.status_code, "error=" in refused.headers["www-authenticate"]) == (401, False), "the token is not to blame"
    ready = httpx2.get(running.operations_url + "/readyz")
    assert (ready.status_code, f"note issuer {named.name}: introspection: " in ready.text) == (200, True)
    named.down = False
    named.active[OPAQUE] = {"active": True, "token_type": "Bearer", **named.claims()}
    soon(lambda: _listed(running, OPAQUE).status_code == 200)
    _check_told(named, running, (signed, OPAQUE, CLIENT_SECRET))


def _made(named: Named, kid: str) -> Any:
    named.keys[kid] = ec.generate_private_key(ec.SECP256R1())
    return named.keys[kid]


def _check_told(named: Named, running: Running, secrets: tuple[str, ...]) -> None:
    """What the operator sees, and what nobody does."""
    figures = _metrics(running)
    calls = {key: value for key, value in figures.items() if "introspection" in key}
    label = f'mcp_gateway_introspection_calls_total{{issuer="{named.name}",outcome='
    assert {key.removeprefix(label): value >= 1 for key, value in calls.items() if value} == {
        '"active"}': True,
        '"inactive"}': True,
        '"unavailable"}': True,
    }
    assert figures[f'mcp_gateway_issuer_keys{{issuer="{named.name}"}}'] == 2
    assert figures[f'mcp_gateway_issuer_keys_age_seconds{{issuer="{named.name}"}}'] < 60
    records = running.audit()
    causes = {each.get("cause") for record in records for each in (record, *record.get("counts", ()))}
    assert {"inactive", "issuer_unavailable"} <= causes
    told = running.log + json.dumps(records) + httpx2.get(running.operations_url + "/metrics").text
    assert [each for each in secrets if each in told] == []

"""As whom the gateway comes to a backend: what can be told, and each mistake in the words of the settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.assembly import whole
from gateway.settings.credentials import AssertionCredential, ClientCredentials, StaticSecret, TokenExchange
from gateway.settings.load import SettingsError, load
from gateway.settings.model import Settings

ISSUER = "https://id.example.com"
CLIENT = {"client_id": "gateway", "client_secret": {"env": "CLIENT_SECRET"}}


def loaded(folder: Path, backend: dict[str, Any], **identity: Any) -> Settings:
    told = {
        "backends": {"crm": {"url": "https://crm.example.com/mcp", **backend}},
        "opa": {"url": "http://127.0.0.1:8181"},
        "identity": {"issuers": [{"issuer": ISSUER, "jwks_file": "keys.json"}], **identity},
        "policy": {"folder": str(Path(__file__).resolve().parents[2] / "policies")},
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(told))
    return load(folder / "gateway.yaml", {})


@pytest.mark.parametrize(
    ("credential", "kind"),
    [
        pytest.param({"env": "WIKI_TOKEN"}, StaticSecret, id="short"),
        pytest.param({"type": "static", "file": "token", "header": "X-Api-Key", "prefix": ""}, StaticSecret, id="static"),
        pytest.param({"type": "client_credentials", "issuer": ISSUER, **CLIENT}, ClientCredentials, id="client_credentials"),
        pytest.param({"type": "token_exchange", "issuer": ISSUER, "scopes": ["read"], **CLIENT}, TokenExchange, id="exchange"),
        pytest.param({"type": "assertion", "header": "Authorization"}, AssertionCredential, id="assertion"),
    ],
)
def test_each_way_has_its_type_and_a_static_one_needs_none(tmp_path: Path, credential: dict[str, Any], kind: type) -> None:
    told = loaded(tmp_path, {"credential": credential}).backends["crm"].credential
    assert isinstance(told, kind)
    if isinstance(told, StaticSecret) and told.file is not None:
        assert told.file == tmp_path / "token"


SCOPES = {"type": "client_credentials", "issuer": ISSUER}


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        pytest.param(
            {"url": "http://crm.example.com/mcp", "credential": {"env": "CRM"}},
            "backends.crm: a credential would cross the network in clear: use https, or say `allow_plain_http: true`",
            id="in_clear",
        ),
        pytest.param(
            {"credential": "s3cret"},
            "backends.crm.credential: a secret is never written here: name its place, as in `credential: {env: NAME}`",
            id="the_secret_itself",
        ),
        pytest.param(
            {"credential": {"type": "magic"}},
            "backends.crm.credential: `type` is one of static, client_credentials, token_exchange, assertion",
            id="unknown_type",
        ),
        pytest.param(
            {"credential": {"env": "A", "file": "b"}},
            "backends.crm.credential: name exactly one of `env` and `file`, or another `type` of credential",
            id="two_places",
        ),
        pytest.param(
            {"credential": {"env": "A"}, "credential_header": "X-Api-Key"},
            "backends.crm: `credential_header` has moved: write `credential: {type: static, …, header: 'X-Api-Key'}`",
            id="former_header",
        ),
        pytest.param(
            {"credential": {"env": "A"}, "credential_prefix": ""},
            "backends.crm: `credential_prefix` has moved: write `credential: {type: static, …, prefix: ''}`",
            id="former_prefix",
        ),
        pytest.param(
            {"credential": {**SCOPES, "client_id": "x"}},
            "backends.crm.credential: `client_auth: basic` needs `client_secret`",
            id="no_client_secret",
        ),
        pytest.param(
            {"credential": {**SCOPES, **CLIENT, "client_auth": "none"}},
            "backends.crm.credential: `client_auth: none` has no use for `client_secret`",
            id="useless_secret",
        ),
        pytest.param(
            {"credential": {**SCOPES, **CLIENT, "token_url": "https://id.example.com/token"}},
            "backends.crm.credential: name exactly one of `issuer` (its token endpoint is discovered) and `token_url`",
            id="two_endpoints",
        ),
        pytest.param(
            {"credential": {"type": "token_exchange", "issuer": "https://other.example.com", **CLIENT}},
            "settings: backends.crm.credential.issuer: identity.issuers has no such issuer, so no caller has a token of it that"
            " could be exchanged",
            id="untrusted_issuer",
        ),
        pytest.param(
            {"credential": {**SCOPES, **CLIENT, "scope": "a b"}},
            "backends.crm.credential.scope: no such setting; docs/settings.md lists them all",
            id="misspelt",
        ),
        pytest.param(
            {"forward_headers": ["X-Tenant", "Cookie"]},
            "backends.crm.forward_headers: Cookie may not be forwarded: the client's credentials stay with the gateway",
            id="cookie",
        ),
        pytest.param(
            {"forward_headers": ["mcp-session-id"]},
            "backends.crm.forward_headers: mcp-session-id may not be forwarded: the protocol's own headers are built from what"
            " was decided",
            id="protocol",
        ),
        pytest.param(
            {"forward_headers": ["x-api-key"], "credential": {"env": "A", "header": "X-Api-Key"}},
            "backends.crm: forward_headers: x-api-key carries the gateway's own credential",
            id="own_header",
        ),
        pytest.param(
            {"assertion": {"header": "authorization"}, "credential": {"env": "A"}},
            "backends.crm: `credential` and `assertion` would both be sent in Authorization",
            id="one_header_for_two",
        ),
        pytest.param(
            {"credential": {"env": "A", "header": "Mcp-Name"}},
            "backends.crm: a credential cannot be sent in Mcp-Name, which says something else",
            id="header_of_the_protocol",
        ),
        pytest.param(
            {"url": None, "command": ["x"], "credential": {"env": "A"}},
            "backends.crm: a stdio server gets its secrets in `env_secrets`: `credential` and `forward_headers` need a `url`",
            id="stdio",
        ),
        pytest.param(
            {"url": None, "command": ["x"], "assertion": {}},
            "backends.crm: a stdio server has no headers: `assertion` and `lists_per_subject` need a `url`",
            id="stdio_assertion",
        ),
    ],
)
def test_a_mistake_is_named_by_its_place(tmp_path: Path, backend: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, backend)
    assert str(raised.value) == f"{tmp_path}/gateway.yaml: {said}"


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def mistakes(settings: Settings) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        whole.check(settings)
    return str(raised.value).splitlines()


def test_a_secret_or_key_that_cannot_be_used_is_told_before_the_start_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.json").write_text("{}")
    monkeypatch.setenv("CLIENT_SECRET", "s3cret\nline")
    exchange = {"type": "token_exchange", "issuer": ISSUER, **CLIENT}
    assert mistakes(loaded(tmp_path, {"credential": exchange})) == [
        "backends.crm: credential: the secret in CLIENT_SECRET: it is empty, has a line break within, or is not ASCII"
    ]
    (tmp_path / "key.pem").write_text("s3cret")
    signing = {**SCOPES, "client_id": "x", "client_auth": "private_key_jwt", "private_key": {"file": "key.pem"}}
    assert mistakes(loaded(tmp_path, {"credential": signing})) == [
        f"backends.crm: credential: the secret in {tmp_path}/key.pem: "
        "it holds no private key in PEM (PKCS #8), without a passphrase"
    ]


def test_keys_for_assertions_are_looked_at_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for key, said in [
        (None, "there is no file *.pem in it"),
        (
            rsa.generate_private_key(65537, 2048),
            "assertions are signed with EC P-256 or Ed25519 keys; RSA would cost twenty times",
        ),
    ]:
        if key is not None:
            (tmp_path / "keys/a.pem").write_text(pem(key))
        (line,) = mistakes(loaded(tmp_path, {}, assertion_key={"file": "keys"}))
        assert line.startswith(f"identity.assertion_key: {said}")
    (tmp_path / "keys/a.pem").write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    whole.check(loaded(tmp_path, {"assertion": {}}, assertion_key={"file": "keys"}))

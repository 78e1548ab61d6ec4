"""Issuers' settings: what cannot work is told with its place before anything starts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.assembly import identity
from gateway.settings.load import SettingsError, load
from gateway.settings.model import Settings

ISSUER = {"issuer": "https://id.example.com"}
ASKED = {"client_id": "gateway", "client_secret": {"env": "INTROSPECTION_SECRET"}}


def _settings(folder: Path, *issuers: dict[str, Any]) -> Settings:
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump({"backends": {"crm": {"url": "http://127.0.0.1:1/mcp"}}, "identity": {"issuers": [*issuers]}}))
    return load(file, {})


def _mistake(folder: Path, *issuers: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as told:
        identity.access_tokens(_settings(folder, *issuers).identity.issuers)
    return str(told.value).removeprefix(f"{folder}/gateway.yaml: ")


@pytest.mark.parametrize(
    ("issuers", "said"),
    [
        pytest.param([ISSUER, ISSUER], "identity: issuers: two have the name https://id.example.com", id="twice"),
        pytest.param(
            [{**ISSUER, "introspection": ASKED}, {"issuer": "https://other.example", "introspection": ASKED}],
            "identity: issuers: only one may have `introspection`: an opaque token does not say whose it is",
            id="two_introspect",
        ),
        pytest.param(
            [{"issuer": "http://id.example.com"}],
            "identity.issuers.0: `issuer` must not be http:// beyond loopback",
            id="issuer_in_the_clear",
        ),
        pytest.param(
            [{**ISSUER, "jwks_url": "https://id.example.com/jwks", "jwks_file": "jwks.json"}],
            "identity.issuers.0: name one of `jwks_url` and `jwks_file`, or neither to have the keys discovered",
            id="two_sources",
        ),
        pytest.param(
            [{**ISSUER, "jwks_file": "jwks.json", "discovery_url": "https://id.example.com/metadata"}],
            "identity.issuers.0: `jwks_file` and `discovery_url` do not go together: the keys are in the file",
            id="discovery_for_nothing",
        ),
        pytest.param(
            [{**ISSUER, "introspection": {**ASKED, "remember_s": 301}}],
            "identity.issuers.0.introspection.remember_s: Input should be less than or equal to 300",
            id="remembered_too_long",
        ),
        pytest.param(
            [{**ISSUER, "introspection": {"client_id": "gateway", "client_secret": "s3cret"}}],
            "identity.issuers.0.introspection.client_secret: Input should be a valid dictionary or instance of Secret",
            id="secret_in_the_settings",
        ),
        pytest.param(
            [{"issuer": "kubernetes/serviceaccount"}],
            "identity.issuers: kubernetes/serviceaccount: the issuer must be an https URL (or http on loopback): issuers are "
            "asked over https only",
            id="no_place_for_metadata",
        ),
        pytest.param(
            [{**ISSUER, "discovery_url": "ftp://id.example.com"}],
            "identity.issuers: https://id.example.com: discovery_url must be an https URL (or http on loopback): issuers are "
            "asked over https only",
            id="metadata_over_ftp",
        ),
        pytest.param(
            [{**ISSUER, "introspection": {**ASKED, "url": "http://id.example.com/introspect"}}],
            "identity.issuers: https://id.example.com: introspection.url must be an https URL (or http on loopback): issuers are "
            "asked over https only",
            id="tokens_in_the_clear",
        ),
        pytest.param(
            [{**ISSUER, "introspection": {**ASKED, "client_secret": {"env": "NOT_SET"}}}],
            "identity.issuers: https://id.example.com: introspection.client_secret: the environment variable NOT_SET is not set, "
            "but a setting takes its secret from it",
            id="no_secret",
        ),
    ],
)
def test_settings_of_issuers_that_cannot_work_are_told(
    issuers: list[dict[str, Any]], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTROSPECTION_SECRET", "s3cret")
    assert _mistake(tmp_path, *issuers) == said


def test_a_ca_that_is_none_is_told_with_its_issuer(tmp_path: Path) -> None:
    said = f"identity.issuers: https://id.example.com: tls_ca: {tmp_path}/ca.pem: No such file or directory"
    assert _mistake(tmp_path, {**ISSUER, "tls_ca": "ca.pem"}) == said


def test_an_issuer_needs_no_more_than_its_name_and_opaque_ones_are_asked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTROSPECTION_SECRET", "s3cret")
    other = {"issuer": "https://other.example", "introspection": {**ASKED, "jwts": True}}
    issuers = identity.access_tokens(_settings(tmp_path, ISSUER, other).identity.issuers)
    assert [type(each).__name__ for each in issuers.methods] == ["Introspection", "AccessTokens"]
    assert list(issuers.rings) == ["https://id.example.com"], "an issuer that is asked about every token needs no keys"
    assert issuers.failures() == {}

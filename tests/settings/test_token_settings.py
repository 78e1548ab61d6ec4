"""From the settings of an issuer to the rules its tokens are held to, and mistakes told by their place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.assembly import identity
from gateway.settings.load import SettingsError, load
from gateway.settings.model import Settings

ISSUER = {"issuer": "https://id.example.com", "jwks_url": "https://id.example.com/keys"}


def _settings(folder: Path, issuer: dict[str, Any], **groups: Any) -> Settings:
    file = folder / "gateway.yaml"
    told = {"backends": {"crm": {"url": "http://127.0.0.1:1/mcp"}}, "identity": {"issuers": [{**ISSUER, **issuer}]}, **groups}
    file.write_text(yaml.safe_dump(told))
    return load(file, {})


def test_an_issuer_is_strict_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    rules = identity._trusted(_settings(tmp_path, {}).identity.issuers[0])
    assert (rules.audiences, rules.any_typ, rules.optional_claims, rules.dpop) == (frozenset(), False, frozenset(), "accepted")
    loose = {"audience": ["api://x"], "any_typ": True, "missing_claims_allowed": ["jti", "client_id"], "dpop": "required"}
    rules = identity._trusted(_settings(tmp_path, loose).identity.issuers[0])
    assert (rules.audiences, rules.any_typ, rules.optional_claims, rules.dpop) == (
        frozenset({"api://x"}),
        True,
        frozenset({"jti", "client_id"}),
        "required",
    )


@pytest.mark.parametrize(
    ("issuer", "path"),
    [
        ({"missing_claims_allowed": ["sub"]}, "identity.issuers[0].missing_claims_allowed[0]"),
        ({"missing_claims_allowed": ["exp"]}, "identity.issuers[0].missing_claims_allowed[0]"),
        ({"dpop": "off"}, "identity.issuers[0].dpop"),
        ({"algorithms": ["none"]}, "identity.issuers[0].algorithms[0]"),
    ],
)
def test_what_no_issuer_may_leave_out_cannot_be_allowed(tmp_path: Path, issuer: dict[str, Any], path: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _settings(tmp_path, issuer)
    assert path.replace("[0]", "") in str(raised.value).replace("[0]", "").replace(".0", "")


@pytest.mark.parametrize("url", ["mcp.example.com", "https://mcp.example.com?x=1", "https://u@mcp.example.com", "ftp://x"])
def test_a_surface_that_no_token_could_be_for_is_a_mistake(url: str) -> None:
    with pytest.raises(SettingsError, match="no token can be for"):
        identity._resource(url, "default")


def test_a_surfaces_uri_is_below_the_public_url() -> None:
    uris = [identity._resource("https://MCP.example.com:443/", surface) for surface in ("default", "sales")]
    assert uris == ["https://mcp.example.com/mcp", "https://mcp.example.com/mcp/sales"]

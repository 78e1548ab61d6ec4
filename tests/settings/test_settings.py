"""Settings: closed, each mistake named by its place, and the page that lists them never behind."""

from pathlib import Path

import pytest

from gateway.settings.base import Secret
from gateway.settings.load import SettingsError, load, secret_value
from tools.settings_doc import IDENTITY_PAGE, identity_page, page

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
backends:
  crm: {url: "http://127.0.0.1:1/mcp"}
identity:
  api_keys: [{id: ci, sha256: "%s", subject: ci}]
""" % ("0" * 64)


def _load(folder: Path, text: str, **environment: str):  # type: ignore[no-untyped-def]
    file = folder / "gateway.yaml"
    file.write_text(text)
    return load(file, environment)


def _mistake(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(SettingsError) as raised:
        _load(folder, text, **environment)
    return str(raised.value).replace(f"{folder}/gateway.yaml: ", "", 1)


def test_the_page_lists_every_setting() -> None:
    assert (ROOT / "docs/settings.md").read_text() == page(), "run: python -m tools.settings_doc > docs/settings.md"


def test_the_page_about_identity_lists_every_setting_that_concerns_it() -> None:
    assert IDENTITY_PAGE.read_text() == identity_page(), "run: python -m tools.settings_doc --identity"


def test_the_shortest_good_file_has_safe_defaults(tmp_path: Path) -> None:
    settings = _load(tmp_path, GOOD)
    assert (settings.listen.host, settings.operations.host, settings.audit.durability) == ("127.0.0.1", "127.0.0.1", "write")
    assert settings.policy.folder == tmp_path / "policies"
    assert settings.surfaces["default"].anonymous is False


def test_a_variable_overrides_one_setting(tmp_path: Path) -> None:
    assert _load(tmp_path, GOOD, GATEWAY_LISTEN__PORT="8081", OTHER__THING="x").listen.port == 8081


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "backends: Field required", id="nothing"),
        pytest.param("[]", "must be a mapping of settings", id="a_list"),
        pytest.param(GOOD + "lissen: {}", "lissen: no such setting; docs/settings.md lists them all", id="misspelt_group"),
        pytest.param(GOOD + "listen: {prot: 1}", "listen.prot: no such setting; docs/settings.md lists them all", id="misspelt"),
        pytest.param(
            GOOD + "listen: {port: http}",
            "listen.port: Input should be a valid integer, unable to parse string as an integer",
            id="wrong_type",
        ),
        pytest.param(
            "backends: {crm: {url: 'http://x/mcp'}}",
            "settings: surfaces.default has no way to authenticate: add identity.api_keys, key_file, issuers or mtls, "
            "or say `anonymous: true`",
            id="open_by_mistake",
        ),
        pytest.param(
            GOOD + "listen: {host: 0.0.0.0}",
            "settings: listen.host is beyond loopback: set tls_cert and tls_key, or name the proxies in front in trusted_proxies",
            id="plain_beyond_loopback",
        ),
        pytest.param(
            GOOD + "  mtls: {trusted: [{name: 'spiffe://example.org/desk', surfaces: [nope]}]}",
            "settings: identity.mtls.trusted spiffe://example.org/desk: no surface nope\n"
            "{place}settings: identity.mtls needs listen.tls_client_ca and tls_client, "
            "by which clients' certificates are verified",
            id="workloads_by_certificates_that_nobody_verifies",
        ),
        pytest.param(
            GOOD
            + "  issuers: [{issuer: 'https://id.example.com', audience: [a], jwks_file: keys.json}]\n"
            + "listen: {trusted_proxies: [10.0.0.7]}",
            "settings: listen.public_url is needed: tokens must be for the URL of the proxy in front, which only you know",
            id="tokens_for_a_proxy_without_a_url",
        ),
        pytest.param(
            GOOD + "listen: {tls_client: required}",
            "settings: listen.tls_client (optional or required) and listen.tls_client_ca go together\n"
            "{place}settings: listen.tls_client: clients can show a certificate only where TLS is served: "
            "set listen.tls_cert and tls_key",
            id="client_certificates_without_tls",
        ),
        pytest.param(
            GOOD + "listen: {host: 0.0.0.0, behind_proxy: true}",
            "listen: `behind_proxy` is gone: name the proxies in front, as in `trusted_proxies: [10.0.0.7]`",
            id="proxy_without_a_name",
        ),
        pytest.param(
            GOOD + "listen: {trusted_proxies: [0.0.0.0/0]}",
            "listen.trusted_proxies.0: names too many addresses, so anybody could say anything: name the proxies",
            id="every_proxy",
        ),
        pytest.param(
            GOOD + "listen: {trusted_proxies: [0.0.0.0/1]}",
            "listen.trusted_proxies.0: names too many addresses, so anybody could say anything: name the proxies",
            id="half_of_all_proxies",
        ),
        pytest.param(
            GOOD + "  end_user_header: Authorization",
            "identity.end_user_header: no user can be named in Authorization: the client's credentials stay with the gateway",
            id="user_in_a_header_of_another_kind",
        ),
        pytest.param(
            GOOD.replace("http://127.0.0.1:1/mcp", "http://u:p@127.0.0.1:1/mcp"),
            "backends.crm: url: a password does not belong there: write `credential`",
            id="password_in_a_url",
        ),
        pytest.param(
            GOOD.replace("subject: ci", 'subject: "a\\x1fb"'),
            "identity.api_keys.0.subject: String should match pattern '^[^\\x00-\\x1f\\x7f]+$'",
            id="control_characters_in_a_subject",
        ),
        pytest.param(
            GOOD + "listen: {trusted_proxies: [proxy.internal]}",
            "listen.trusted_proxies.0: no address or network: 'proxy.internal' does not appear to be an IPv4 or IPv6 network",
            id="proxy_by_name",
        ),
        pytest.param(
            GOOD + "listen: {allowed_origins: ['*']}",
            "listen.allowed_origins.0: must be one origin as browsers send it: scheme://host or scheme://host:port, "
            "without a path or a `*`",
            id="every_origin",
        ),
        pytest.param(
            GOOD + "surfaces: {default: {scopes: [offline_access]}}",
            "settings: surfaces.default.scopes: offline_access is between a client and its authorization server: leave it out",
            id="scope_of_the_authorization_server",
        ),
        pytest.param(
            GOOD
            + "  issuers: [{issuer: 'https://id.example.com', audience: [a], jwks_file: keys.json}]\n"
            + "listen: {host: '::', tls_cert: c, tls_key: k}",
            "settings: listen.public_url is needed: tokens must be for a URL of ours, and nobody can connect to ::",
            id="tokens_without_a_url",
        ),
        pytest.param(
            GOOD.replace('url: "http://127.0.0.1:1/mcp"', ""),
            "backends.crm: name exactly one of `url` (Streamable HTTP) and `command` (stdio)",
            id="backend_without_transport",
        ),
        pytest.param(
            GOOD + "surfaces: {a: {backends: [nope]}}",
            "settings: surfaces.a.backends names nope, which `backends` does not have",
            id="unknown_backend",
        ),
    ],
)
def test_a_mistake_is_named_by_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert _mistake(tmp_path, text) == said.replace("{place}", f"{tmp_path}/gateway.yaml: ")


@pytest.mark.parametrize(
    ("url", "understood"),
    [
        ("https://MCP.Example.com", "https://mcp.example.com"),
        ("https://mcp.example.com/", "https://mcp.example.com"),
        ("https://mcp.example.com:443", "https://mcp.example.com"),
        ("HTTPS://mcp.example.com:8443/", "https://mcp.example.com:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_the_public_url_is_kept_in_its_canonical_form(tmp_path: Path, url: str, understood: str) -> None:
    assert _load(tmp_path, GOOD + f"listen: {{public_url: '{url}'}}").listen.public_url == understood


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://mcp.example.com", "must be https"),
        ("mcp.example.com", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("https://mcp.example.com/gateway", "must be a scheme, a host and maybe a port"),
        ("https://mcp.example.com?a=1", "must be a scheme, a host and maybe a port"),
        ("https://user@mcp.example.com", "must be a scheme, a host and maybe a port"),
        ("https://mcp.example.com:http", "not a URL"),
    ],
)
def test_a_public_url_that_tokens_cannot_be_for_is_refused(tmp_path: Path, url: str, said: str) -> None:
    assert _mistake(tmp_path, GOOD + f"listen: {{public_url: '{url}'}}").startswith(f"listen.public_url: {said}")


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    assert "the key 'port' is given twice" in _mistake(tmp_path, GOOD + "listen:\n  port: 1\n  port: 2\n")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Name a settings file with --settings"):
        load(tmp_path / "none.yaml", {})


def test_a_secret_is_read_from_its_place_and_its_absence_names_only_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "secret"
    held.write_text("s3cret\n")
    assert secret_value(Secret(file=held)) == "s3cret"
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(SettingsError, match="the environment variable NOT_SET is not set"):
        secret_value(Secret(env="NOT_SET"))

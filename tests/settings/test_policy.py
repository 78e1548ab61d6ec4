"""Where policies come from: one place, and signed where that is asked for."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.adapters.opa.decider import PolicySetDecider
from gateway.assembly import policy
from gateway.settings.load import SettingsError, load
from gateway.settings.model import Settings

GOOD = """
backends:
  crm: {url: "http://127.0.0.1:1/mcp"}
identity:
  api_keys: [{id: ci, sha256: "%s", subject: ci}]
""" % ("0" * 64)


def read(folder: Path, text: str) -> Settings:
    file = folder / "gateway.yaml"
    file.write_text(GOOD + text)
    return load(file, {})


def mistake(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        policy.decider(read(folder, text), lambda _: None)
    return str(raised.value).replace(f"{folder}/", "")


def test_bundle_and_the_keys_that_sign_it_are_found_beside_the_settings(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "a.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = read(
        tmp_path,
        "policy: {bundle: b.tar.gz, require_signed: {keys: [{id: a, file: a.pem, revoked: true}], max_age_s: 9}}\n"
        "opa: {binary: sh}",
    )
    source = policy.policy_source(settings)
    assert source.trust is not None
    assert (source.folder, source.trust.max_age_s) == (tmp_path / "b.tar.gz", 9.0)
    assert [(each.id, each.algorithms, each.revoked) for each in source.trust.keys] == [("a", ("ES256",), True)]
    assert isinstance(policy.decider(settings, lambda _: None), PolicySetDecider)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "policy: {server: {url: 'https://bundles.example.com/b.tar.gz'}}",
            "gateway.yaml: policy: `server` needs `history`: the folder that keeps what it served",
        ),
        ("policy: {folder: p, bundle: b.tar.gz}", "gateway.yaml: policy: give one of `folder`, `bundle` and `server`"),
        (
            "policy: {require_signed: {keys: [{id: a, file: a.pem}]}}",
            "gateway.yaml: policy: `require_signed` needs `bundle` or `server`: a folder is not signed",
        ),
        (
            "policy: {bundle: b.tar.gz, require_signed: {keys: []}}",
            "gateway.yaml: policy.require_signed.keys: Tuple should have at least 1 item after validation, not 0",
        ),
        (
            "policy: {bundle: b.tar.gz, require_signed: {keys: [{id: a, file: a.pem}, {id: a, file: gateway.yaml}]}}",
            "policy.require_signed.keys.0.file: a.pem: No such file or directory\n"
            "policy.require_signed.keys.1.file: gateway.yaml holds no public key in PEM "
            "(openssl pkey -in private.pem -pubout)\n"
            "policy.require_signed.keys: two keys have the same id",
        ),
        (
            "policy: {bundle: b.tar.gz}\nopa: {url: 'http://127.0.0.1:1'}",
            "policy.bundle, policy.server, policy.facts_server, policy.require_signed: "
            "with opa.url the sidecar loads and verifies its own bundles",
        ),
    ],
    ids=["server_without_history", "two_places", "signed_folder", "no_key", "bad_keys", "sidecar"],
)
def test_place_that_cannot_work_is_told_line_by_line(tmp_path: Path, text: str, said: str) -> None:
    assert mistake(tmp_path, text) == said


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (
            "url: 'http://bundles.example.com/b.tar.gz'",
            "policy.server.url: is plain http beyond loopback: use https, or set allow_plain_http if the network is safe",
        ),
        (
            "url: 'https://me:secret@bundles.example.com/b'",
            "policy.server.url: is no http or https URL without user and fragment",
        ),
        ("url: 'ftp://bundles.example.com/b'", "policy.server.url: is no http or https URL without user and fragment"),
    ],
)
def test_bundle_server_that_is_not_safe_is_refused(tmp_path: Path, server: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        policy.feeds(read(tmp_path, f"policy: {{history: h, server: {{{server}}}}}"))
    assert str(raised.value) == said


def test_bundle_of_a_server_lies_in_the_history(tmp_path: Path) -> None:
    settings = read(tmp_path, "policy: {history: h, server: {url: 'https://bundles.example.com/b.tar.gz'}}")
    assert policy.policy_source(settings).folder == tmp_path / "h/served.tar.gz"
    assert list(policy.feeds(settings)) == ["policy-server"]


def test_bundle_of_facts_of_a_server_lies_in_the_history_beside_that_of_rules(tmp_path: Path) -> None:
    url = "https://bundles.example.com"
    settings = read(
        tmp_path, f"policy: {{history: h, server: {{url: '{url}/b.tar.gz'}}, facts_server: {{url: '{url}/f.tar.gz'}}}}"
    )
    source = policy.policy_source(settings)
    assert (source.folder, source.facts) == (tmp_path / "h/served.tar.gz", tmp_path / "h/served-facts.tar.gz")
    assert list(policy.feeds(settings)) == ["policy-server", "policy-facts-server"]
    with pytest.raises(SettingsError) as raised:
        policy.feeds(read(tmp_path, "policy: {history: h, facts_server: {url: 'http://bundles.example.com/f'}}"))
    assert str(raised.value) == (
        "policy.facts_server.url: is plain http beyond loopback: use https, or set allow_plain_http if the network is safe"
    )


def test_facts_that_nobody_signed_do_not_stand_beside_what_must_be_signed(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "a.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "f").mkdir()
    signed = "require_signed: {keys: [{id: a, file: a.pem}], max_age_s: 100, facts_max_age_s: 9}"
    assert mistake(tmp_path, f"policy: {{bundle: b.tar.gz, facts: f, {signed}}}") == (
        "policy.facts: f is a folder, which nobody can sign, and require_signed is set: "
        "name a bundle of `mcp-gateway policy build --only-facts`"
    )
    trust = policy.policy_source(read(tmp_path, f"policy: {{bundle: b.tar.gz, facts: f.tar.gz, {signed}}}")).trust
    assert trust is not None
    assert (trust.max_age_s, trust.of_facts().max_age_s) == (100.0, 9.0)


def test_facts_are_taken_from_one_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, "policy: {history: h, facts: f, facts_server: {url: 'https://bundles.example.com/f'}}")
    assert str(raised.value) == f"{tmp_path}/gateway.yaml: policy: give one of `facts` and `facts_server`"

"""Bundles: read within bounds and strictly, written the same every time, and believed only for exactly the bytes signed."""

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy import bundle
from gateway.policy.bundle import BadBundle, Bundle
from gateway.policy.bundle_signature import BadKey, Key, PrivateKey, Signed, Trust, private_key, public_key, signature, verified

FILES = {"mcp/authz.rego": b"package mcp.authz\n", "mcp/facts/data.yaml": b"version: 1\n", ".manifest": b'{"revision":"r1"}'}
NOW_S = 1_800_000_000.0
CURVE = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def trusted(key: PrivateKey, *, revoked: bool = False, max_age_s: float | None = None) -> Trust:
    return Trust((Key("k1", *public_key(pem(key)), revoked), Key("other", *public_key(pem(OTHER)))), max_age_s)


def signed(
    files: Mapping[str, bytes], key: PrivateKey = CURVE, *, keyid: str = "k1", iat: float = NOW_S - 10, **more: Any
) -> Bundle:
    claims = {"files": [], "keyid": keyid, "iat": iat, "contents": bundle.digest(files), **more}
    return bundle.read(bundle.pack({**files, ".signatures.json": signature(key, claims)}))


def tar(*entries: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for entry in entries:
            if entry.isreg():
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    return packed.getvalue()


def entry(name: str, type: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = type, target
    return made


def said(action: Callable[[], object]) -> str:
    with pytest.raises(BadBundle) as raised:
        action()
    return str(raised.value)


names = st.from_regex(r"[a-z]{1,8}(/[a-z_]{1,8}){0,3}\.rego", fullmatch=True)


@settings(max_examples=60)
@given(st.dictionaries(names, st.binary(max_size=200), max_size=6))
def test_what_is_packed_is_read_again_whatever_the_order(files: dict[str, bytes]) -> None:
    packed = bundle.pack(files)
    assert dict(bundle.read(packed).files) == files
    assert bundle.pack(dict(reversed(files.items()))) == packed


@settings(max_examples=150)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_do_worse_than_be_refused(text: bytes, zipped: bool) -> None:
    with suppress(BadBundle):
        bundle.read(gzip.compress(text) if zipped else text)


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        pytest.param(b"no gzip", "is no whole gzip file", id="no_gzip"),
        pytest.param(gzip.compress(b"x" * 600)[:-4], "is no whole gzip file", id="cut_gzip"),
        pytest.param(gzip.compress(b"x" * 600), "is no whole tar file", id="no_tar"),
        pytest.param(tar(entry("a.rego"), entry("a.rego")), "holds 'a.rego' twice", id="twice"),
        pytest.param(tar(entry("a.rego"), entry("/a.rego")), "holds 'a.rego' twice", id="twice_in_two_spellings"),
        pytest.param(
            tar(entry("../a.rego")), "holds '../a.rego', which is no name that a file of policies may have", id="way_out"
        ),
        pytest.param(
            tar(entry("a/../../b.rego")), "holds 'a/../../b.rego', which is no name that a file of policies may have", id="dots"
        ),
        pytest.param(tar(entry(".hidden")), "holds '.hidden', which is no name that a file of policies may have", id="hidden"),
        pytest.param(tar(entry("a.rego", tarfile.SYMTYPE, "/etc/passwd")), "holds 'a.rego', which is no regular file", id="link"),
        pytest.param(tar(entry("a.rego", tarfile.LNKTYPE, "b.rego")), "holds 'a.rego', which is no regular file", id="hard_link"),
        pytest.param(tar(entry("a.rego", tarfile.FIFOTYPE)), "holds 'a.rego', which is no regular file", id="pipe"),
        pytest.param(
            tar(entry("a.rego"), entry("a.rego/b.rego")), "holds 'a.rego' as a file and as a folder", id="file_and_folder"
        ),
        pytest.param(bundle.pack({".manifest": b"{"}), "has a .manifest that cannot be read", id="manifest"),
        pytest.param(
            bundle.pack({".manifest": b'{"revision": "a\\u0000b"}'}),
            "has a revision of other characters than letters, digits and _ . + : @ / -",
            id="revision",
        ),
    ],
)
def test_bundle_that_could_be_read_in_two_ways_is_not_read(packed: bytes, reason: str) -> None:
    assert said(lambda: bundle.read(packed)) == reason


def test_name_that_a_tar_cannot_hold_is_not_packed() -> None:
    reason = f"holds {'a' * 101!r}, whose name is too long: at most 100 characters after a slash"
    assert said(lambda: bundle.pack({"a" * 101: b""})) == reason


def test_bundle_that_unpacks_to_more_than_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = bundle.pack({"a.rego": b" " * 100_000})
    monkeypatch.setattr(bundle, "MAX_BYTES", 50_000)
    assert said(lambda: bundle.read(packed)) == "unpacks to more than 50000 bytes"


def test_revision_always_ends_with_the_hash_of_the_contents() -> None:
    assert [bundle.revision(label, "c0ffee") for label in (None, "", "c0ffee", "v7", "v7.c0ffee", "v7.abc")] == [
        "c0ffee",
        "c0ffee",
        "c0ffee",
        "v7.c0ffee",
        "v7.c0ffee",
        "v7.abc.c0ffee",
    ]


@pytest.mark.parametrize("key", [CURVE, ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP521R1()), RSA])
def test_signature_of_each_kind_of_key_counts_and_is_the_same_each_time(key: PrivateKey) -> None:
    made = signed(FILES, key)
    assert verified(made, trusted(key, max_age_s=60), NOW_S) == Signed("k1", NOW_S - 10, NOW_S + 50)
    assert signed(FILES, key).signatures == made.signatures


@pytest.mark.parametrize(
    "changed",
    [
        {"mcp/authz.rego": b"package mcp.authz \n"},
        {"mcp/facts/data.yaml": b"version: 1 # OPA's own hash would not see this\n"},
        {"mcp/more.rego": b"package mcp.more\n"},
    ],
    ids=["rule", "comment_in_data", "added"],
)
def test_bundle_with_one_other_byte_than_was_signed_is_refused(changed: dict[str, bytes]) -> None:
    made = signed(FILES)
    reason = "is not what was signed: a file was changed, added or left out since"
    assert said(lambda: verified(replace(made, files={**made.files, **changed}), trusted(CURVE), NOW_S)) == reason
    assert said(lambda: verified(replace(made, manifest=b'{"revision":"r2"}'), trusted(CURVE), NOW_S)) == reason
    fewer = {name: text for name, text in made.files.items() if name != "mcp/authz.rego"}
    assert said(lambda: verified(replace(made, files=fewer), trusted(CURVE), NOW_S)) == reason


@pytest.mark.parametrize(
    ("made", "trust", "reason"),
    [
        (signed(FILES, OTHER), trusted(CURVE), "has a signature that the key 'k1' did not make"),
        (signed(FILES, keyid="nobody"), trusted(CURVE), "is signed with a key that policy.require_signed does not know"),
        (signed(FILES), trusted(CURVE, revoked=True), "is signed with the key 'k1', which is revoked"),
        (
            signed(FILES, iat=NOW_S - 61),
            trusted(CURVE, max_age_s=60),
            "was signed 61 s ago, and decides for 60 s at most",
        ),
        (signed(FILES, iat=NOW_S + 61), trusted(CURVE), "was signed in the future: one of two clocks is wrong"),
        (bundle.read(bundle.pack(FILES)), trusted(CURVE), "is not signed, and policy.require_signed is set"),
    ],
    ids=["another_key", "unknown_key", "revoked_key", "too_old", "future", "unsigned"],
)
def test_signature_that_does_not_count_says_why(made: Bundle, trust: Trust, reason: str) -> None:
    assert said(lambda: verified(made, trust, NOW_S)) == reason


def forged(*tokens: str) -> Bundle:
    return bundle.read(bundle.pack({**FILES, ".signatures.json": json.dumps({"signatures": tokens}).encode()}))


def test_signature_by_the_public_key_as_a_shared_secret_or_by_none_is_refused() -> None:
    claims = {"files": [], "keyid": "k1", "iat": int(NOW_S), "contents": bundle.digest(FILES)}
    unsigned = jwt.encode(claims, "", algorithm="none")
    by_secret = jwt.encode(claims, "a secret of at least 32 bytes, as such are", algorithm="HS256")
    for token in (unsigned, by_secret, by_secret.rpartition(".")[0] + "."):
        assert said(lambda token=token: verified(forged(token), trusted(CURVE), NOW_S)) == (  # type: ignore[misc]
            "has a signature that the key 'k1' did not make"
        )


def test_signature_whose_header_anybody_can_write_ends_no_reader() -> None:
    claims = {"files": [], "keyid": "k1", "iat": int(NOW_S), "contents": bundle.digest(FILES)}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for header in ("[" * 100_000, "1" * 100_000, '{"alg": ' * 100_000, '"\\ud800"', '{"alg": ["ES256"], "kid": 1}'):
        token = f"{base64.urlsafe_b64encode(header.encode()).decode().rstrip('=')}.{payload}.AAAA"
        assert said(lambda token=token: verified(forged(token), trusted(CURVE), NOW_S)) == (  # type: ignore[misc]
            "has a signature that the key 'k1' did not make"
        )


def test_signature_that_does_not_name_contents_or_is_not_one_is_refused() -> None:
    bare = jwt.encode({"files": [], "keyid": "k1", "iat": int(NOW_S)}, CURVE, algorithm="ES256")
    reason = "has a signature without keyid, iat and contents: sign it with `mcp-gateway policy build`"
    for token in (bare, "a.b.c", "", "a.b"):
        assert said(lambda token=token: verified(forged(token), trusted(CURVE), NOW_S)) == reason  # type: ignore[misc]
    assert said(lambda: verified(forged(), trusted(CURVE), NOW_S)) == "has 0 signatures; OPA's form is exactly one"
    assert said(lambda: verified(forged("a", "b"), trusted(CURVE), NOW_S)) == "has 2 signatures; OPA's form is exactly one"
    broken = bundle.read(bundle.pack({**FILES, ".signatures.json": b"[]"}))
    assert said(lambda: verified(broken, trusted(CURVE), NOW_S)) == "has a .signatures.json that cannot be read"


def test_keys_that_are_not_fit_are_named_without_repeating_them() -> None:
    weak, other = rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()
    odd = ec.generate_private_key(ec.SECP256K1())
    private = CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for text, reason in (
        (b"-----BEGIN", "holds no public key in PEM (openssl pkey -in private.pem -pubout)"),
        (private, "holds no public key in PEM (openssl pkey -in private.pem -pubout)"),
        (pem(weak), "holds an RSA key of 1024 bits; 2048 are the least"),
        (pem(other), "holds a key of a kind that OPA does not sign with: use RSA or an elliptic curve (P-256, P-384, P-521)"),
        (pem(odd), "holds a key on the curve secp256k1, which OPA does not sign with: use P-256, P-384 or P-521"),
    ):
        with pytest.raises(BadKey) as raised:
            public_key(text)
        assert str(raised.value) == reason
    with pytest.raises(BadKey, match=r"^holds no private key in PEM without a password$"):
        private_key(pem(CURVE))
    assert private_key(private).public_key().public_numbers() == CURVE.public_key().public_numbers()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("8b570794e9fbd789", "8b570794e9fbd789", True),
        ("v1.8b570794e9fbd789", "8b570794e9fbd789", True),
        ("v1.8b570794e9fbd789", "v2.8b570794e9fbd789", True),
        ("v1.8b570794e9fbd789", "v1.8b570794e9fbd78a", False),
        ("1.2", "2.2", False),  # a sidecar's own bundle may be called anything
        ("1.2", "1.2", True),
        (None, "", False),
        (None, "v1.8b570794e9fbd789", False),
    ],
)
def test_a_set_is_the_same_whatever_it_was_labelled(one: str | None, other: str | None, same: bool) -> None:
    assert bundle.same_contents(one, other) == bundle.same_contents(other, one) == same

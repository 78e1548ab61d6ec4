"""`policy build`: one file that a gateway and an OPA load, the same each time, and only of a set that might be put in force."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import CliRunner

from gateway.adapters.opa.snapshot import Source, take
from gateway.cli import app
from gateway.policy import bundle
from gateway.policy.bundle_signature import Key, Signed, Trust, public_key, verified
from tests.lifecycle.repositories import copied, replaced
from tools.binaries import find

SIGNED_S = 1_790_000_000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key; the public one lies beside it."""
    made = ec.generate_private_key(ec.SECP256R1())
    folder = tmp_path_factory.mktemp("keys")
    (folder / "private.pem").write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "public.pem").write_bytes(made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return folder / "private.pem"


def ran(*arguments: object, **environment: str) -> Any:
    return CliRunner().invoke(app, ["policy", "build", *map(str, arguments)], env={"OPA": find("opa"), **environment})


def built(root: Path, output: Path, key: Path, *more: object) -> dict[str, Any]:
    arguments = (root, "-o", output, "--signing-key", key, "--key-id", "k1", "--json", *more)
    done = ran(*arguments, SOURCE_DATE_EPOCH=str(SIGNED_S))
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def trust(key: Path) -> Trust:
    return Trust((Key("k1", *public_key(key.with_name("public.pem").read_bytes())),))


def test_bundle_holds_the_set_byte_for_byte_and_its_signature_counts(root: Path, key: Path, tmp_path: Path) -> None:
    told = built(root, tmp_path / "b.tar.gz", key, "--label", "v7")
    made = bundle.read((tmp_path / "b.tar.gz").read_bytes())
    contents = take(Source(root / "policies", root / "schemas"), tmp_path / "copy")
    assert (made.label, made.files) == (f"v7.{contents.revision}", contents.texts)
    assert verified(made, trust(key), SIGNED_S + 1) == Signed("k1", SIGNED_S, None)
    assert told["revision"] == made.label
    assert (told["key_id"], told["signed_s"], told["files"]) == ("k1", SIGNED_S, len(contents.texts))


def test_same_files_key_and_time_make_the_same_bytes(root: Path, key: Path, tmp_path: Path) -> None:
    first = built(root, tmp_path / "1.tar.gz", key)
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
    second = built(root, tmp_path / "2.tar.gz", key)
    assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tar.gz").read_bytes()
    assert first["sha256"] == second["sha256"]


def opa_takes(packed: Path, key: Path) -> str:
    """What OPA says of the bundle when it verifies it: nothing, or why not."""
    public = str(key.with_name("public.pem"))
    arguments = ["--verification-key", public, "--verification-key-id", "k1", "--signing-alg", "ES256"]
    done = subprocess.run(
        [find("opa"), "build", "--bundle", packed.name, *arguments, "-o", "again.tar.gz"],
        cwd=packed.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_opa_verifies_the_same_bundle_and_refuses_a_changed_one(root: Path, key: Path, tmp_path: Path) -> None:
    built(root, tmp_path / "b.tar.gz", key)
    assert opa_takes(tmp_path / "b.tar.gz", key) == ""
    made = bundle.read((tmp_path / "b.tar.gz").read_bytes())
    assert made.manifest is not None and made.signatures is not None
    files = {**made.files, ".manifest": made.manifest, ".signatures.json": made.signatures}
    changed = {**files, "mcp/lib.rego": files["mcp/lib.rego"] + b"# more\n"}
    (tmp_path / "c.tar.gz").write_bytes(bundle.pack(changed))
    assert "digest mismatch" in opa_takes(tmp_path / "c.tar.gz", key)


def test_set_that_would_be_refused_or_whose_canaries_do_not_hold_is_not_built(tmp_path: Path) -> None:
    root = copied(tmp_path)
    replaced(root / "policies/mcp/facts/data.yaml", "version: 1", "version: 1\nwaiver: []")
    done = ran(root, "-o", tmp_path / "b.tar.gz")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        1,
        "policies/mcp/facts/data.yaml:4: waiver is not known; did you mean 'waivers'?",
    )
    replaced(root / "policies/mcp/facts/data.yaml", "\nwaiver: []", "")
    canaries = root / "policies/mcp/canaries/data.json"
    said = json.loads(canaries.read_text())
    for each in said:
        each["expect"] = {"visible": [0], "allowed": [0]} if not each["expect"]["allowed"] else {"visible": [], "allowed": []}
    canaries.write_text(json.dumps(said))
    done = ran(root, "-o", tmp_path / "b.tar.gz")
    assert done.exit_code == 1
    assert "visible is" in done.stderr
    assert not (tmp_path / "b.tar.gz").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--signing-key", "KEY"], "--key-id is missing: what policy.require_signed calls the key"),
        (["--key-id", "k1"], "--key-id names a key: give it with --signing-key or --signing-key-env"),
        (["--signing-key", "nowhere.pem", "--key-id", "k1"], "--signing-key: nowhere.pem: No such file or directory"),
        (["--output", "nowhere/a.tar.gz"], "--output: nowhere: no such folder"),
        (["--label", "a b"], "--label has other characters than letters, digits and _ . + : @ / -, or more than 128"),
        (["--signing-key-env", "NOT_THERE", "--key-id", "k1"], "--signing-key-env: there is no variable NOT_THERE"),
        (["--signing-key-env", "BAD_KEY", "--key-id", "k1"], "BAD_KEY holds no private key in PEM without a password"),
    ],
)
def test_options_that_do_not_fit_are_told_with_exit_code_2(options: list[str], said: str, key: Path, root: Path) -> None:
    done = ran(root, *(str(key) if each == "KEY" else each for each in options), BAD_KEY="SECRET")
    assert (done.exit_code, done.stderr) == (2, said + "\n")


def test_written_bundle_replaces_the_old_one_at_once_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    root = copied(tmp_path / "repository")
    target = tmp_path / "out/b.tar.gz"
    target.parent.mkdir()
    target.write_bytes(b"old")
    assert ran(root, "-o", target).exit_code == 0
    assert [path.name for path in target.parent.iterdir()] == ["b.tar.gz"]
    assert bundle.read(target.read_bytes()).signatures is None


def test_facts_alone_are_a_bundle_that_holds_nothing_else(root: Path, key: Path, tmp_path: Path) -> None:
    told = built(root, tmp_path / "f.tar.gz", key, "--only-facts", "--label", "f1")
    made = bundle.read((tmp_path / "f.tar.gz").read_bytes())
    whole = take(Source(root / "policies", root / "schemas"), tmp_path / "copy").texts
    assert made.files == {name: text for name, text in whole.items() if name.startswith("mcp/facts/")}
    assert json.loads(made.manifest or b"") == {"revision": told["revision"], "roots": ["mcp/facts"]}
    assert opa_takes(tmp_path / "f.tar.gz", key) == ""


def test_facts_that_live_apart_are_checked_with_rules_that_come_from_elsewhere(tmp_path: Path, key: Path) -> None:
    root, rules = copied(tmp_path / "repository"), tmp_path / "rules.tar.gz"
    shutil.move(root / "policies/mcp/facts", tmp_path / "facts")
    done = ran(root, "-o", rules, "--without-facts")
    assert (done.exit_code, "is missing: without facts of version 1 there is no decision" in done.stderr) == (1, True)
    built(root, rules, key, "--without-facts", "--facts", tmp_path / "facts")
    built(rules, tmp_path / "f.tar.gz", key, "--only-facts", "--facts", tmp_path / "facts")
    taken = take(Source(rules, root / "schemas", facts=tmp_path / "f.tar.gz", trust=trust(key)), tmp_path / "copy")
    assert taken.facts is not None
    replaced(tmp_path / "facts/data.yaml", "version: 1", "version: 1\nwaiver: []")
    done = ran(rules, "-o", tmp_path / "g.tar.gz", "--only-facts", "--facts", tmp_path / "facts")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        1,
        "mcp/facts/data.yaml:4: waiver is not known; did you mean 'waivers'?",
    )
    done = ran(rules, "--only-facts", "--without-facts")
    assert (done.exit_code, done.stderr) == (2, "give one of --without-facts and --only-facts\n")


def test_bundle_without_facts_holds_all_else_and_leaves_their_root_to_another(root: Path, key: Path, tmp_path: Path) -> None:
    told = built(root, tmp_path / "b.tar.gz", key, "--without-facts")
    made = bundle.read((tmp_path / "b.tar.gz").read_bytes())
    whole = take(Source(root / "policies", root / "schemas"), tmp_path / "copy").texts
    assert made.files == {name: text for name, text in whole.items() if not name.startswith("mcp/facts/")}
    assert json.loads(made.manifest or b"") == {
        "revision": told["revision"],
        "roots": ["mcp/authz", "mcp/canaries", "mcp/lib", "mcp/org", "mcp/servers"],
    }
    assert opa_takes(tmp_path / "b.tar.gz", key) == ""

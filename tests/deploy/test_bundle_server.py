"""The OPA of compose.yaml gets the policies whole, with a revision and a door, and keeps what it has when they are broken."""

import io
import json
import shutil
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.opa.bundle_server import BundleServer
from gateway.adapters.opa.snapshot import Source, take

ROOT = Path(__file__).resolve().parents[2]
AUTHZ = ROOT / "deploy/opa/authz.rego"


@contextmanager
def serving(policies: Path) -> Iterator[str]:
    with BundleServer(0, Source(policies, ROOT / "schemas"), AUTHZ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(timeout=5)


def answered(url: str, known: str | None = None) -> tuple[int, str | None, bytes]:
    """Status, ETag and body."""
    asked = urllib.request.Request(url, headers={"If-None-Match": known} if known else {})
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return answer.status, answer.headers["ETag"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["ETag"], error.read()


def edited_copy(folder: Path) -> Path:
    shutil.copytree(ROOT / "policies", folder / "policies")
    return folder / "policies"


def test_bundle_holds_every_policy_the_door_and_the_revision_that_our_own_opa_would_name(tmp_path: Path) -> None:
    with serving(ROOT / "policies") as url:
        status, tag, packed = answered(url + "/bundle.tar.gz")
    revision = take(Source(ROOT / "policies", ROOT / "schemas"), tmp_path).revision
    assert (status, tag) == (200, f'"{revision}"')
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        inside = {entry.name.lstrip("/"): archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    assert json.loads(inside.pop(".manifest")) == {"revision": revision, "roots": ["mcp", "system/authz"]}
    policies = {str(path.relative_to(ROOT / "policies")): path for path in (ROOT / "policies").rglob("*") if path.is_file()}
    assert inside == {"system/authz.rego": AUTHZ.read_bytes()} | {name: path.read_bytes() for name, path in policies.items()}


def test_opa_that_has_the_revision_is_told_so_until_a_file_is_edited(tmp_path: Path) -> None:
    policies = edited_copy(tmp_path)
    with serving(policies) as url:
        _, first, _ = answered(url + "/bundle.tar.gz")
        assert answered(url + "/bundle.tar.gz", first) == (304, first, b"")
        (policies / "mcp/extra.rego").write_text("package mcp.extra\n")
        status, second, _ = answered(url + "/bundle.tar.gz", first)
    assert (status, second != first) == (200, True)


def test_policies_that_opa_would_misread_are_not_served_and_the_file_is_named(tmp_path: Path) -> None:
    policies = edited_copy(tmp_path)
    (policies / "mcp/facts/more.yaml").write_text("version: 1\n")
    with serving(policies) as url:
        status, tag, told = answered(url + "/bundle.tar.gz")
    wanted = b"mcp/facts/more.yaml: OPA would leave this file out: data files are named data.json or data.yaml\n"
    assert (status, tag, told) == (500, None, wanted)


def test_nothing_but_the_bundle_is_served() -> None:
    with serving(ROOT / "policies") as url:
        assert answered(url + "/../compose.yaml") == (404, None, b"there is only /bundle.tar.gz\n")

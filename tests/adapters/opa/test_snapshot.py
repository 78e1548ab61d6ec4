"""What a snapshot takes, leaves and refuses."""

import os
from pathlib import Path

import pytest

from gateway.adapters.opa import snapshot
from gateway.adapters.opa.findings import Finding, PolicyRejected, on_a_line
from gateway.adapters.opa.snapshot import Source


def taken(policies: Path, into: Path) -> snapshot.Snapshot:
    into.mkdir()
    return snapshot.take(Source(policies, policies.with_name("schemas")), into)


def test_the_revision_is_of_the_contents_and_not_of_their_age(policies: Path, tmp_path: Path) -> None:
    first = taken(policies, tmp_path / "1")
    (policies / "mcp" / "facts" / "data.yaml").touch()
    again = taken(policies, tmp_path / "2")
    assert (first.revision, first.digest) == (again.revision, again.digest)


def test_a_change_of_schemas_asks_for_new_checks_under_the_same_revision(policies: Path, tmp_path: Path) -> None:
    first = taken(policies, tmp_path / "1")
    (policies.with_name("schemas") / "other.json").write_text("{}")
    again = taken(policies, tmp_path / "2")
    assert first.revision == again.revision
    assert first.digest != again.digest


def test_hidden_files_and_prose_are_left_alone(policies: Path, tmp_path: Path) -> None:
    (policies / ".git").mkdir()
    (policies / ".git" / "config.json").write_text("{")
    (policies / ".decision.rego.swp").write_text("half")
    (policies / "README.md").write_text("# Policies")
    copy = taken(policies, tmp_path / "1")
    assert copy.files == ("mcp/authz/decision.rego", "mcp/canaries/data.json", "mcp/facts/data.yaml")


def test_a_mounted_folder_of_links_is_followed(policies: Path, tmp_path: Path) -> None:
    versions = policies.rename(policies.with_name("..2026"))
    policies.mkdir()
    (policies / "mcp").symlink_to(versions / "mcp")
    assert len(taken(policies, tmp_path / "1").files) == 3


def test_a_file_that_cannot_be_read_refuses_the_set_since_it_might_be_a_denial(policies: Path, tmp_path: Path) -> None:
    (policies / "mcp" / "authz" / "gone.rego").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PolicyRejected) as refused:
        taken(policies, tmp_path / "1")
    assert refused.value.findings == (
        Finding(str(policies / "mcp" / "authz" / "gone.rego"), 0, "cannot be read: No such file or directory"),
    )


def test_a_pipe_among_the_policies_is_refused_and_not_waited_for(policies: Path, tmp_path: Path) -> None:
    os.mkfifo(policies / "mcp" / "authz" / "pipe.rego")
    with pytest.raises(PolicyRejected, match=r"pipe\.rego: *.*is no regular file"):
        taken(policies, tmp_path / "1")


def test_a_folder_that_cannot_be_read_refuses_the_set(policies: Path) -> None:
    with pytest.raises(PolicyRejected, match="cannot be read: Permission denied"):
        snapshot._unreadable(PermissionError(13, "Permission denied", str(policies)))


def test_a_folder_without_rules_is_refused(policies: Path, tmp_path: Path) -> None:
    (policies / "mcp" / "authz" / "decision.rego").unlink()
    with pytest.raises(PolicyRejected, match=r"there is no policy \(\*\.rego\)"):
        taken(policies, tmp_path / "1")


def test_a_whole_repository_in_the_place_of_its_policies_is_told_in_one_line(policies: Path, tmp_path: Path) -> None:
    repository = tmp_path / "candidate"
    repository.mkdir()
    policies.rename(repository / "policies")
    (repository / "capabilities.json").write_text("{}")
    with pytest.raises(PolicyRejected) as refused:
        snapshot.take(Source(repository, policies.with_name("schemas")), tmp_path / "copy")
    assert str(refused.value) == f"{repository}: is a policy repository: name {repository / 'policies'}"


def test_findings_on_one_line_are_the_first_three_and_how_many_more_there_are() -> None:
    many = [Finding("a.rego", number, "is wrong") for number in range(25)]
    assert on_a_line(many) == "a.rego: is wrong; a.rego:1: is wrong; a.rego:2: is wrong; … and 22 more"
    assert on_a_line(many[:2]) == "a.rego: is wrong; a.rego:1: is wrong"

"""What the docs say is so: the tests they name exist, their links lead somewhere, their first rule passes its own test."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from gateway.cli import app
from gateway.lifecycle.making.texts import FILES
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _tests() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found.update(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.M))
    for path in (ROOT / "policy_tests").rglob("*.rego"):
        found.update(re.findall(r"^(test_\w+)", path.read_text(), re.M))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page.read_text()))
    assert named - _tests() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [each.split("#")[0] for each in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    assert [each for each in links if each and "://" not in each and not (page.parent / each).exists()] == []


def _unknown_commands(text: str) -> list[str]:
    """What stands after `mcp-gateway` where a command is meant, and is none."""
    found = []
    for named in re.findall(r"(?:`|\$ |bin/)mcp-gateway((?:[ \n]+[a-z-]+)+)", text):
        command = typer.main.get_command(app)
        for word in named.split():
            if not isinstance(command, TyperGroup) or word.startswith("-"):
                break
            if word not in command.commands:
                found.append(" ".join(named.split()))
                break
            command = command.commands[word]
    return found


def test_a_command_that_does_not_exist_is_found() -> None:
    page = "`mcp-gateway policy explain`, `mcp-gateway nonsense`, `mcp-gateway policy nonsense`, `mcp-gateway --help`"
    assert _unknown_commands(page) == ["nonsense", "policy nonsense"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    assert _unknown_commands(page.read_text()) == []


@pytest.mark.parametrize("name", FILES)
def test_every_command_that_a_new_repository_names_exists(name: str) -> None:
    assert _unknown_commands(FILES[name]) == []


def test_the_readmes_first_rule_passes_its_test_and_every_check(tmp_path: Path) -> None:
    blocks = re.findall(r"```rego\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    rule, its_test = blocks
    policies, tests = tmp_path / "policies", tmp_path / "policy_tests"
    shutil.copytree(ROOT / "policies", policies)
    for folder, name, text in ((policies, "access.rego", rule), (tests, "access_test.rego", its_test)):
        place = folder / "mcp/servers/wiki"
        place.mkdir(parents=True)
        (place / name).write_text(text)
    opa = find("opa")
    for command in (
        ["fmt", "--fail", str(policies / "mcp/servers/wiki"), str(tests)],
        ["check", "--strict", "--schema", str(ROOT / "schemas"), str(policies), str(tests)],
        ["test", "--fail-on-empty", "--run", "wiki", str(policies), str(tests)],
    ):
        done = subprocess.run([opa, *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

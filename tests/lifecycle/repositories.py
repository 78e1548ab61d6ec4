"""Policy repositories for tests: a copy of the shipped one, which a test then breaks in one place."""

import shutil
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from gateway.cli_policy import policy
from gateway.lifecycle.check.examination import NAMES, Plan, examined
from gateway.lifecycle.check.report import Row
from gateway.lifecycle.repository import repository
from gateway.shipped import SHIPPED
from tools.binaries import find


def copied(folder: Path) -> Path:
    """The shipped policies with their tests and schemas, in a folder of its own."""
    shutil.copytree(SHIPPED.policies, folder / "policies")
    shutil.copytree(SHIPPED.tests / "mcp", folder / "policy_tests/mcp")
    shutil.copytree(SHIPPED.schemas, folder / "schemas")
    return folder


def replaced(path: Path, old: str, new: str) -> None:
    """One edit, which has to be one."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))


def invoked(*arguments: str, **environment: str) -> Result:
    """`mcp-gateway policy …` as a user runs it, in here: a process of its own for each of these takes a second more."""
    around = {"OPA": find("opa"), "REGAL": find("regal"), "GITHUB_ACTIONS": "", "COLUMNS": "200", **environment}
    whole = typer.Typer()
    whole.add_typer(policy, name="policy")
    return CliRunner().invoke(whole, ["policy", *arguments], env=around)


async def only(root: Path, *checks: str, mutation_s: float = 60.0) -> dict[str, Row]:
    """What these checks say of the repository."""
    plan = Plan(without=NAMES - set(checks), mutation_s=mutation_s)
    rows = await examined(repository(root), find("opa"), find("regal"), plan=plan)
    return {each.check: each for each in rows if each.check in checks}

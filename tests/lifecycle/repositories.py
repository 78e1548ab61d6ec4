"""Policy repositories for tests: a copy of the shipped one, which a test then breaks in one place."""

import shutil
from pathlib import Path

from gateway.lifecycle.check.examination import NAMES, examined
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


async def only(root: Path, *checks: str) -> dict[str, Row]:
    """What these checks say of the repository."""
    rows = await examined(repository(root), find("opa"), find("regal"), without=NAMES - set(checks))
    return {each.check: each for each in rows if each.check in checks}

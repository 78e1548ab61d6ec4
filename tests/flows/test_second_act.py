"""`make demo-policy` does what it says, leaves nothing behind, and ends with an error where a step does not hold."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo.terminal import WIDTH, NotAsTold, Terminal
from tests.flows.running import ROOT
from tools.binaries import find

LONGEST_S = 600.0  # twenty seconds or so on a quiet machine


def test_a_change_is_previewed_shadowed_rolled_out_explained_and_rolled_back(tmp_path: Path) -> None:
    environment = {**os.environ, "OPA": find("opa"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "examples.demo", "policy"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    steps = [line.rstrip(" ─").split("  ")[1] for line in ran.stdout.splitlines() if line.endswith("──")]
    assert steps == [
        "What is in force",
        "The change",
        "Who may do what afterwards?",
        "Whom would it have hit?",
        "And on live traffic?",
        "Roll-out",
        "Why?",
        "Back",
    ]
    assert [line for line in ran.stdout.splitlines() if len(line) > WIDTH] == []
    assert "cannot be told" not in ran.stdout  # the live set is what the traffic was recorded under, whatever its label
    assert list(tmp_path.iterdir()) == []
    assert _naming(tmp_path) == []


@pytest.mark.parametrize("says, code", [(["what it never says"], 0), (["as it is"], 1)], ids=["other words", "another exit code"])
def test_a_command_that_ends_or_says_otherwise_ends_the_act(tmp_path: Path, says: list[str], code: int) -> None:
    shown = Terminal(tmp_path)
    assert shown.run("echo", "as it is", says=["as it is"]) == "as it is\n"
    with pytest.raises(NotAsTold):
        shown.run("echo", "as it is", says=says, code=code)


def _naming(folder: Path) -> list[str]:
    """Processes whose command line names something in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(folder) in line:
            found.append(line)
    return found

"""How the second act looks: numbered steps with their reason, real commands with all they say, an end where one does not hold."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 100
TAB = 4
COMMAND_S = 240.0  # ten times what a busy machine takes


class NotAsTold(Exception):
    """A step did not do what its text says; the message says which and what came instead."""


class Terminal:
    """Prints the steps, and runs the commands in them from one working folder, as a user would there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._console = Console(width=WIDTH, highlight=False)
        self._steps = 0
        self._environment = {  # whatever the terminal is, and wherever the folder lies
            "PYTHONPATH": str(ROOT),
            "COLUMNS": str(WIDTH),
            "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent),
        }

    def title(self, title: str, text: str) -> None:
        self._console.print(Text(title, style="bold"))
        self._told(text)

    def step(self, title: str, why: str) -> None:
        self._steps += 1
        self._console.print()
        self._console.rule(Text(f"{self._steps}  {title}", style="bold cyan"), align="left", style="cyan")
        self._told(why)

    def note(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def answer(self, what: str, text: str, *, fine: bool) -> None:
        """What a caller did, and what came back."""
        said = Text.assemble("\n", (f"{what}: ", "bold"), (text, "green" if fine else "yellow"))
        self._console.print(said)

    def run(self, *command: str, says: Sequence[str] = (), code: int = 0) -> str:
        """Print the command and what it prints, all of it. Raises `NotAsTold` unless it says so and ends so."""
        self._console.print(Text(f"\n$ {shlex.join(command)}", style="bold green"), soft_wrap=True)
        ours = command[0] == "mcp-gateway"
        real = [sys.executable, "-m", "gateway.cli", *command[1:]] if ours else [*command]
        environment = {**os.environ, **self._environment}
        ran = subprocess.run(
            real, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        for line in ran.stdout.splitlines():
            self._console.print(Text(line.rstrip().expandtabs(TAB), style=_style(line)), soft_wrap=True)
        if ran.returncode:
            self.note(f"(exit code {ran.returncode})", "dim")
        if ran.returncode != code:
            raise NotAsTold(f"exit code {ran.returncode} instead of {code}: {shlex.join(command)}\n{ran.stderr.strip()}")
        flat = " ".join(ran.stdout.split())
        for each in says:
            if each not in flat:
                raise NotAsTold(f"{shlex.join(command)} does not say: {each}\n{ran.stderr.strip()}")
        return ran.stdout

    def _told(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))


def _style(line: str) -> str:
    """Colours of a diff, and of a verdict."""
    if line.startswith(("+++", "---", "@@")):
        return "dim"
    return {"+": "green", "-": "red"}.get(line[:1], "")

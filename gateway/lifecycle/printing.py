"""How commands show what they found: tables that fit their reader, plain text where nobody looks at a terminal.

What is shown was said by callers, backends and whoever wrote an audit file. It never begins a line of its own, and no line is
a command to the terminal or to the CI system that reads the log.
"""

import re
import shutil
import sys
from collections.abc import Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

LEAST_COLUMNS = 100  # where no terminal says how wide it is: a log of a CI run
COMMANDS = re.compile(r"^(\s*):(?=:)|()#(?=#(?:vso)?\[)")  # to GitHub `::error::` first in a line, and `##[error]` anywhere


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    last: str | Sequence[str] = "",
) -> None:
    """Print a table on standard output; columns named in `right` are numbers. `last`: a line below it, or several;
    one that begins with a line break stands apart.

    Names are not broken in two: columns named in `whole` keep their width, the others fold. Without rows there is no header.
    """
    console = console_on(sys.stdout.isatty())
    shown = Table(box=SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold")
    for header in headers:
        justify: Literal["right", "left"] = "right" if header in right else "left"
        shown.add_column(header.upper(), justify=justify, overflow="fold", no_wrap=header in whole)
    for row in rows:
        shown.add_row(*(Text(plain(cell)) for cell in row))
    with console.capture() as captured:
        if rows:
            console.print(shown)
        for line in _lines(last):
            console.print(Text(plain(line)))
    print("".join(inert(line) for line in captured.get().splitlines(keepends=True)), end="")  # a folded cell begins lines, too


def console_on(terminal: bool) -> Console:
    width = shutil.get_terminal_size((LEAST_COLUMNS, 24)).columns
    return Console(width=width if terminal else max(width, LEAST_COLUMNS), no_color=not terminal, highlight=False)


def plain(text: str) -> str:
    """What others said may hold anything: it stays in one line, and a terminal gets no control codes from here."""
    return inert("".join(each if each.isprintable() else "\\n" if each == "\n" else " " for each in text))


def inert(line: str) -> str:
    """A line in which no CI system reads a command; for lines that were put together, or folded, of `plain` texts."""
    return COMMANDS.sub(lambda met: rf"{met[1]}\u{{3a}}" if met[2] is None else r"\u{23}", line)


def _lines(last: str | Sequence[str]) -> Sequence[str]:
    if not isinstance(last, str):
        return last
    return ("", last[1:]) if last.startswith("\n") else (last,) if last else ()


def progress(text: str) -> None:
    """A line about long work, on standard error, for whoever waits at a terminal."""
    if sys.stderr.isatty():
        print(plain(text), file=sys.stderr, flush=True)

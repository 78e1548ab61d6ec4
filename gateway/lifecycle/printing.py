"""How commands show what they found: tables that fit their reader, plain text where nobody looks at a terminal."""

import shutil
import sys
from collections.abc import Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

LEAST_COLUMNS = 100  # where no terminal says how wide it is: a log of a CI run


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    last: str = "",
) -> None:
    """Print a table on standard output; columns named in `right` are numbers. `last`: a line below it.

    Names are not broken in two: columns named in `whole` keep their width, the others fold. Without rows there is no header.
    """
    console = console_on(sys.stdout.isatty())
    shown = Table(box=SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold")
    for header in headers:
        justify: Literal["right", "left"] = "right" if header in right else "left"
        shown.add_column(header.upper(), justify=justify, overflow="fold", no_wrap=header in whole)
    for row in rows:
        shown.add_row(*(Text(plain(cell)) for cell in row))
    if rows:
        console.print(shown)
    if last:
        console.print(Text(plain(last)))


def console_on(terminal: bool) -> Console:
    width = shutil.get_terminal_size((LEAST_COLUMNS, 24)).columns
    return Console(width=width if terminal else max(width, LEAST_COLUMNS), no_color=not terminal, highlight=False)


def plain(text: str) -> str:
    """What others said may hold anything: a terminal gets no control codes from here."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)


def progress(text: str) -> None:
    """A line about long work, on standard error, for whoever waits at a terminal."""
    if sys.stderr.isatty():
        print(plain(text), file=sys.stderr, flush=True)

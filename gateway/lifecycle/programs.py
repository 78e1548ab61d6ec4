"""Where `opa` and `regal` are: the environment says it, PATH has it, or a source tree has built it.

A path is made absolute, since checks run them in folders of their own.
"""

import os
import shutil
from pathlib import Path

_BUILT = Path(__file__).resolve().parents[2] / ".tools"  # where tools/binaries.py of a source tree puts them


def program(name: str) -> str | None:
    """The path of the program; None: there is none. What the environment names and is not there, is not looked for elsewhere."""
    named = os.environ.get(name.upper())
    if found := shutil.which(named or name):
        return str(Path(found).absolute())
    built = sorted(_BUILT.glob(f"{name}-*/{name}")) if not named else []
    return str(built[-1]) if built else None

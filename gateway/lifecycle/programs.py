"""Where `opa` and `regal` are: the environment says it, PATH has it, or a source tree has built it."""

import os
import shutil
from pathlib import Path

_BUILT = Path(__file__).resolve().parents[2] / ".tools"  # where tools/binaries.py of a source tree puts them


def program(name: str) -> str | None:
    """The path of the program; None: there is none. What the environment names and is not there, is not looked for elsewhere."""
    if named := os.environ.get(name.upper()):
        return shutil.which(named)
    if found := shutil.which(name):
        return found
    built = sorted(_BUILT.glob(f"{name}-*/{name}"))
    return str(built[-1]) if built else None

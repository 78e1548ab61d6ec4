"""What comes with the gateway: policies, tests, schemas, linter rules, capabilities, library, tools, wherever it is installed.

They are kept once, at the root of the source tree. A wheel carries copies of them inside this package, which its build
(`setup.py`) makes; in a source tree there are none, and the originals are meant.
"""

from dataclasses import dataclass
from pathlib import Path

_COPIES = Path(__file__).resolve().parent / "_shipped"
_ORIGINALS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Shipped:
    """Folders, and one file."""

    policies: Path
    tests: Path
    schemas: Path
    linter: Path  # config.yaml, and rules/ of our own
    capabilities: Path
    library: Path  # rules to be copied, laid out like a repository
    tools: Path  # opa/ and regal/: modules of Go that fix their bytes; go.txt: the Go to build them with, with its hashes
    requirements: Path  # what the gateway itself needs, with the hashes


def _below(root: Path) -> Shipped:
    return Shipped(
        policies=root / "policies",
        tests=root / "policy_tests",
        schemas=root / "schemas",
        linter=root / ".regal",
        capabilities=root / "tools/opa/capabilities.json",
        library=root / "library",
        tools=root / "tools",
        requirements=root / "deploy/gateway/requirements.txt",
    )


SHIPPED = _below(_COPIES if _COPIES.is_dir() else _ORIGINALS)

"""Makes the pinned conformance suite available. `python -m tools.conformance.install` prints two lines: node, and the script."""

from dataclasses import dataclass
from pathlib import Path

from tools import node

HERE = Path(__file__).resolve().parent
SUITE = HERE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


@dataclass(frozen=True)
class Suite:
    node: str
    script: str


def installed() -> Suite:
    """The suite, installed now where it was not; ends with a message where that is impossible."""
    return Suite(node.installed(HERE), str(SUITE))


if __name__ == "__main__":
    suite = installed()
    print(suite.node)
    print(suite.script)

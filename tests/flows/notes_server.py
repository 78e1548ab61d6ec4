"""A server that remembers, per session (HTTP) or per process (`--stdio`), what it was told: it shows who shares one.

`python -m tests.flows.notes_server` prints `port <n>` and speaks the legacy era only.
"""

import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

from examples.demo.eras import serve

READS = ToolAnnotations(read_only_hint=True)
STDIO = "--stdio" in sys.argv

server = MCPServer("notes")
of_session: dict[str, list[str]] = {}


def kept(ctx: Context) -> list[str]:
    return of_session.setdefault("" if STDIO else (ctx.headers or {})["mcp-session-id"], [])


@server.tool(annotations=READS)
def write(text: str, ctx: Context) -> str:
    """Remember a text."""
    kept(ctx).append(text)
    return text


@server.tool(annotations=READS)
def read(ctx: Context) -> str:
    """Every text that was written here."""
    return " ".join(kept(ctx))


@server.tool(annotations=READS)
def only_ann() -> str:
    """For Ann."""
    return "ann"


@server.tool(annotations=READS)
def only_bob() -> str:
    """For Bob."""
    return "bob"


if __name__ == "__main__":
    if STDIO:
        server.run("stdio")
    else:
        serve(server, "legacy")

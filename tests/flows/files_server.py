"""A server whose prompt and resources are about files: `python -m tests.flows.files_server` prints `port <n>`."""

from mcp.server.mcpserver import MCPServer

from examples.demo.eras import serve

server = MCPServer("files")


@server.prompt()
def review(file: str) -> str:
    """Review a file."""
    return f"Review {file}."


@server.resource("file:///srv/{name}", mime_type="text/plain")
def content(name: str) -> str:
    """A file."""
    return f"content of {name}"


if __name__ == "__main__":
    serve(server, "legacy")

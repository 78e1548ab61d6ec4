"""A deployment tool, as a legacy MCP server (2025-11-25). Every service, log line and credential in it is made up."""

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

from examples.demo.eras import serve

READS = ToolAnnotations(read_only_hint=True)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=False)

SERVICES = ("billing", "search", "web")
FAKE_KEY = "AKIA" + "EXAMPLE0EXAMPLE1"  # in two parts, so that no scanner takes it for a real one
LOG = {
    "billing": ["started", f"using access key {FAKE_KEY}", "ready"],
    "search": ["started", "password=correct-horse-battery", "index loaded"],
    "web": ["-----BEGIN " + "PRIVATE KEY-----", "bm90IGEga2V5", "-----END " + "PRIVATE KEY-----"],
}

server = MCPServer("deploy", instructions="Deployments of the example company.")


@server.tool(annotations=READS)
def services() -> list[str]:
    """The services that can be deployed."""
    return list(SERVICES)


@server.tool(annotations=CHANGES)
async def deploy(service: str, environment: str, version: str, ctx: Context) -> str:
    """Deploy a version of a service to an environment (staging or production)."""
    await ctx.report_progress(1, 2, f"building {service} {version}")
    await ctx.report_progress(2, 2, f"rolling out to {environment}")
    return f"{service} {version} is live in {environment}"


@server.tool(annotations=READS)
def service_log(service: str, lines: int = 20) -> str:
    """The last lines of a service's log."""
    return "\n".join(LOG.get(service, [])[-lines:])


@server.tool(annotations=CHANGES)
def restart(service: str, environment: str) -> str:
    """Restart a service."""
    return f"{service} restarted in {environment}"


@server.prompt()
def incident_report(service: str) -> str:
    """Ask for an incident report on a service."""
    return f"Write an incident report for {service}: what happened, since when, who is affected."


@server.resource("deploy://services", mime_type="text/plain")
def service_list() -> str:
    """All services, one a line."""
    return "\n".join(SERVICES)


@server.resource("deploy://services/{service}/status", mime_type="text/plain")
def service_status(service: str) -> str:
    """A service's status."""
    return f"{service}: up"


if __name__ == "__main__":
    serve(server, "legacy")

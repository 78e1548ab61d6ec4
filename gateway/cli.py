"""`mcp-gateway`: the command line. Exit code 0: done; 1: it did not work; 2: it was asked wrongly."""

import logging
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway import doctor
from gateway.adapters.audit.files import AuditBusy
from gateway.app import Gateway
from gateway.assembly import listening, whole
from gateway.cli_catalog import catalog
from gateway.cli_keys import keys
from gateway.cli_policy import policy
from gateway.cli_policy_answers import access_command, explain_command
from gateway.cli_policy_rollback import rollback_command
from gateway.cli_policy_rollout import build_command
from gateway.cli_policy_traffic import coverage_command, replay_command
from gateway.cli_policy_waivers import waivers_command
from gateway.cli_policy_watching import observe_command, shadow_app
from gateway.errors import Unrecorded
from gateway.front.serving import Listener, serve
from gateway.settings.load import SettingsError, load
from gateway.settings.model import Settings

log = logging.getLogger("gateway")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs of help fit the terminal
    help="""One MCP endpoint in front of many MCP servers; every list, call, read and get is a Rego decision.

    Example: mcp-gateway serve --settings gateway.yaml
    """,
)
app.add_typer(catalog, name="catalog")
app.add_typer(keys, name="keys")
app.add_typer(policy, name="policy")
policy.command("build")(build_command)
policy.command("rollback")(rollback_command)
policy.command("explain")(explain_command)
policy.command("access")(access_command)
policy.command("waivers")(waivers_command)
policy.command("observe")(observe_command)
policy.command("coverage")(coverage_command)
policy.command("replay")(replay_command)
policy.add_typer(shadow_app, name="shadow")

SettingsFile = Annotated[Path, typer.Option("--settings", "-s", envvar="MCP_GATEWAY_SETTINGS", help="the settings file")]


@app.command("serve")
def serve_command(settings: SettingsFile = Path("gateway.yaml")) -> None:
    """Run the gateway until it is told to stop. Settings that cannot work are told line by line, with exit code 2.

    Example: mcp-gateway serve --settings gateway.yaml
    """
    read = _settings(settings)
    logging.basicConfig(level=read.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.getLogger().level))  # it tells of each listener's start
    for told_of_each_request in ("httpx2", "httpcore2"):
        logging.getLogger(told_of_each_request).setLevel(max(logging.WARNING, logging.getLogger().level))
    try:
        uvloop.run(_serve(read))
    except SettingsError as error:
        raise _failed(_placed(settings, error), 2) from error
    except (AuditBusy, Unrecorded, OSError) as error:
        raise _failed(str(error)) from error


@app.command("doctor")
def doctor_command(
    settings: SettingsFile = Path("gateway.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
    timeout_s: Annotated[float, typer.Option(min=0.1, max=600, help="how long each check may take")] = 10.0,
) -> None:
    """Look at everything that the gateway needs, and say what to do about what does not work. It changes nothing.

    Settings, addresses, certificates, audit folder, every issuer and backend, OPA and the policy set: all are asked at once,
    also beside a gateway that runs. Exit code 0: all is well, or wants a look; 1: something fails; 2: no settings to be read.

    Example: mcp-gateway doctor --settings gateway.yaml
    """
    read = _settings(settings)
    logging.disable(logging.CRITICAL)  # what there is to say stands in the table
    found = uvloop.run(doctor.examined(read, timeout_s=timeout_s))
    typer.echo(doctor.as_json(found) if as_json else doctor.table(found, columns=shutil.get_terminal_size((100, 24)).columns))
    if any(each.state == "fail" for each in found):
        raise typer.Exit(1)


async def _serve(settings: Settings) -> None:
    """Raises `SettingsError`, `AuditBusy`, `Unrecorded` or `OSError`."""
    whole.check(settings)
    listen, operations = settings.listen, settings.operations
    with (
        listening.bound("listen", listen.host, listen.port) as front_socket,
        listening.bound("operations", operations.host, operations.port) as operations_socket,
    ):
        gateway = Gateway(settings, listening.public_url(settings, front_socket.getsockname()[1]))
        tls = gateway.certificates.context if gateway.certificates is not None else None
        front = Listener(gateway.front, front_socket, listen.host, tls, gateway.connections())
        behind = Listener(gateway.operations, operations_socket, operations.host)
        try:
            await serve(front, behind, start=gateway.start, before_end=gateway.end_streams)
        finally:
            await gateway.close()


def _placed(path: Path, error: SettingsError) -> str:
    return "\n".join(f"{path}: {line}" for line in str(error).splitlines())


def _settings(path: Path) -> Settings:
    try:
        return load(path)
    except SettingsError as error:
        raise _failed(str(error), 2) from error


def _failed(message: str, code: int = 1) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)


def main() -> None:
    app()


if __name__ == "__main__":
    main()

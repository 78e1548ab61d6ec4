"""`mcp-gateway policy shadow` and `policy observe`: what live traffic says of what is not in force yet."""

import json
from typing import Annotated

import typer

from gateway.cli_policy import AsJson, failed
from gateway.cli_policy_traffic import AuditFolder
from gateway.lifecycle import observe, shadow
from gateway.lifecycle.recorded import NoAudit, Reading, records
from gateway.lifecycle.shadow import By
from gateway.policy.divergence import KINDS

shadow_app = typer.Typer(
    no_args_is_help=True,
    help="A candidate policy set beside the live one.\n\nExample: mcp-gateway policy shadow report --audit audit",
)


@shadow_app.command("report")
def report_command(
    audit: AuditFolder,
    by: Annotated[By, typer.Option("--by", help="what the table counts by")] = "rule",
    candidate: Annotated[str | None, typer.Option(help="revision of the candidate; default: the newest in the audit")] = None,
    fail_on: Annotated[str, typer.Option(help=f"exit with 1 where there is any of: {', '.join(KINDS)}")] = "",
    as_json: AsJson = False,
) -> None:
    """What a candidate would have decided otherwise than the live policy set, on live traffic: by rule, subject or item.

    Example: mcp-gateway policy shadow report --audit audit --fail-on newly-allowed
    """
    wanted = {each.strip() for each in fail_on.split(",") if each.strip()}
    if unknown := sorted(wanted - {*KINDS}):
        raise failed(f"--fail-on {unknown[0]}: there is no such difference; there are {', '.join(KINDS)}")
    read = Reading()
    try:
        revision = candidate or shadow.newest_candidate(records(audit, Reading()))
        found = shadow.report(records(audit, read), revision)
    except NoAudit as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(json.dumps(shadow.as_json(found, read)))
    else:
        shadow.show(found, read, by)
    if any(found.kinds[kind] for kind in wanted):
        raise typer.Exit(1)
    if not (found.decisions or found.compared):
        raise failed("nothing was compared with this candidate")


def observe_command(
    audit: AuditFolder,
    rule: Annotated[str | None, typer.Argument(help="one rule, such as org/destructive; default: all that observe")] = None,
    as_json: AsJson = False,
) -> None:
    """What rules that only observe would have refused, hidden, granted or owed, and how to switch them on.

    Example: mcp-gateway policy observe --audit audit org/destructive
    """
    read = Reading()
    try:
        found = observe.report(records(audit, read), rule)
    except NoAudit as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(json.dumps(observe.as_json(found, read)))
    else:
        observe.show(found, read, rule)

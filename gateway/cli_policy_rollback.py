"""`mcp-gateway policy rollback`: back to a policy set that was accepted before. Exit code 1: it is not in force."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.history import History
from gateway.cli_policy import AsJson, failed
from gateway.lifecycle import printing
from gateway.lifecycle.rollback import CannotGoBack, Outcome, meant, pinned, released
from gateway.settings.load import SettingsError, load

NO_HISTORY = "the settings name no policy.history: the folder in which the gateway keeps accepted sets"
NO_FACTS = "the settings name neither policy.facts nor policy.facts_server: the facts come and go with the rules"
SILENT = "no gateway has said anything within {s:g} s: it will be taken when one runs; see /readyz and the log"


def rollback_command(
    revision: Annotated[str, typer.Argument(help="how it begins; default: the one accepted before", show_default=False)] = "",
    settings: Annotated[
        Path, typer.Option("--settings", "-s", envvar="MCP_GATEWAY_SETTINGS", help="the settings of the gateway")
    ] = Path("gateway.yaml"),
    release: Annotated[bool, typer.Option("--release", help="no longer stay there: the newest set decides again")] = False,
    facts: Annotated[bool, typer.Option("--facts", help="earlier facts, of policy.facts, and the rules as they are")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="only show what is kept")] = False,
    wait_s: Annotated[float, typer.Option("--wait-s", min=0, max=600, help="wait so long for the gateway")] = 15.0,
    as_json: AsJson = False,
) -> None:
    """Go back to a policy set that was in force before, and stay there until --release; newer sets wait meanwhile.

    Where facts roll out apart, rules go back without them, and with --facts they go back without the rules.

    The gateway checks it like any other set, its signature and age too; what it refuses is undone at once, and the set in
    force stays. Run it as the gateway's own user, where its policy.history is.

    Example: mcp-gateway policy rollback --settings gateway.yaml
    """
    if bool(revision) + release + list_only > 1:
        raise failed("give one of REVISION, --release and --list")
    try:
        policy = load(settings).policy
        if policy.history is None:
            raise failed(NO_HISTORY)
        if facts and policy.facts is None and policy.facts_server is None:
            raise failed(NO_FACTS)
        history = History(policy.history, keep=1, writes=False)
        if facts:
            history = history.of_facts()
        if list_only:
            _show(history, as_json=as_json)
            return
        index = history.index()
        outcome = released(history, wait_s) if release else pinned(history, meant(index, revision or None), wait_s)
    except (SettingsError, CannotGoBack) as error:
        raise failed(str(error)) from error
    except PolicyRejected as rejected:
        raise failed("\n".join(f"{each.file}: {each.message}" for each in rejected.findings)) from rejected
    except OSError as error:
        raise failed(f"{error.filename}: {error.strerror}") from error
    _tell(outcome, wait_s, as_json=as_json)
    if not outcome.in_force:
        raise typer.Exit(1)


def _tell(outcome: Outcome, wait_s: float, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"revision": outcome.revision, "in_force": outcome.in_force, "why": list(outcome.why)}))
    elif outcome.in_force:
        typer.echo(printing.plain(f"revision {outcome.revision} is in force"))
    elif outcome.why:
        for line in (f"revision {outcome.revision} is refused, nothing changed:", *outcome.why):
            typer.echo(printing.plain(line), err=True)
    else:
        typer.echo(SILENT.format(s=wait_s), err=True)


def _show(history: History, *, as_json: bool) -> None:
    """Raises `PolicyRejected`."""
    index, pin = history.index(), history.pin()
    named = pin.revision if pin is not None else None
    if as_json:
        kept = [{"revision": one.revision, "accepted_s": one.accepted_s, "signed_s": one.signed_s} for one in index.kept]
        typer.echo(json.dumps({"kept": kept, "in_force": index.in_force, "pinned": named}))
        return
    rows = []
    for one in reversed(index.kept):
        state = "in force" if one.revision == index.in_force else ""
        state += ", pinned" if one.revision == named else ""
        rows.append((one.revision, _when(one.accepted_s), _when(one.signed_s), state.removeprefix(", ")))
    printing.table(("revision", "accepted", "signed", "state"), rows)


def _when(time_s: float | None) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%MZ") if time_s is not None else ""

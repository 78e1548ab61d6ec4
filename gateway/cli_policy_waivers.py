"""`mcp-gateway policy waivers`: the exceptions, until when they hold, and who needed them."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.opa.findings import PolicyRejected
from gateway.cli_policy import AsJson, failed
from gateway.lifecycle import printing, recorded
from gateway.lifecycle.recorded import NoAudit, Reading
from gateway.lifecycle.repository import policy_source
from gateway.lifecycle.waivers import Use, Waiver, Waivers, reviewed, waivers
from gateway.model import JsonObject

KINDS = frozenset({"expired", "unused"})
COLUMNS = ("state", "rule", "subject", "backends", "until", "used", "last used", "reason")


def waivers_command(
    policies: Annotated[Path, typer.Argument(help="a policy repository, its folder of policies, or a bundle")] = Path(),
    facts: Annotated[Path | None, typer.Option("--facts", help="a folder or a bundle: the facts, where they live apart")] = None,
    audit: Annotated[Path | None, typer.Option("--audit", help="folder of the audit files: who used what, and when")] = None,
    fail_on: Annotated[str, typer.Option(help="exit with 1 where a waiver is any of: expired, unused")] = "",
    as_json: AsJson = False,
) -> None:
    """The exceptions from refusals in the facts: in force until when, how often used and last when, and which have expired.

    Without --audit nothing is said of use. A use that none of these waivers covers is listed below: its waiver is gone since.

    Example: mcp-gateway policy waivers . --audit audit --fail-on expired
    """
    wanted = {each.strip() for each in fail_on.split(",") if each.strip()}
    if unknown := sorted(wanted - KINDS):
        raise failed(f"--fail-on {unknown[0]}: there is no such kind; there are {', '.join(sorted(KINDS))}")
    if "unused" in wanted and audit is None:
        raise failed("--fail-on unused: only the audit tells; name its folder with --audit")
    read = Reading()
    try:
        source = policy_source(policies, facts=facts)
        found = waivers(reviewed(source), _records(audit, read), time.time_ns())
    except PolicyRejected as rejected:
        raise failed(str(rejected)) from rejected
    except NoAudit as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(json.dumps(_json(found, read if audit is not None else None)))
    else:
        _show(found, read if audit is not None else None)
    expired = any(one.state == "expired" for one in found.told)
    unused = any(one.state == "in force" and not one.used for one in found.told)
    if ("expired" in wanted and expired) or ("unused" in wanted and unused):
        raise typer.Exit(1)


def _records(audit: Path | None, read: Reading) -> Iterator[JsonObject]:
    if audit is not None:
        yield from recorded.records(audit, read)


def _show(found: Waivers, read: Reading | None) -> None:
    running = sum(one.state == "in force" for one in found.told)
    last = f"{running} in force, {len(found.told) - running} expired"
    if read is not None:
        last += f"; {read.lines} lines of audit" + (f", {read.bad_lines} of them unreadable" if read.bad_lines else "")
    printing.table(COLUMNS, [_row(one, counted=read is not None) for one in found.told], right=("used",), last=last)
    if found.unexplained:
        rows = [
            (use.rule, f"{use.subject} ({use.issuer})", f"{use.backend}/{use.tool}".rstrip("/"), _when(use.time_ns))
            for use in found.unexplained
        ]
        printing.table(("rule", "subject", "backend", "used"), rows, last="used, and in none of these facts any more")


def _row(one: Waiver, *, counted: bool) -> tuple[str, ...]:
    used = (str(one.used) if counted else "?", _when(one.last_ns) if one.last_ns is not None else "")
    which = f"{one.backends[0]}/{one.tool}" if one.tool else " ".join(one.backends)
    return (one.state, one.rule, f"{one.subject} ({one.issuer})", which, _when(one.until_ns), *used, one.reason)


def _json(found: Waivers, read: Reading | None) -> dict[str, object]:
    told: dict[str, object] = {"waivers": [_waiver(one, counted=read is not None) for one in found.told]}
    if read is not None:
        told["unexplained"] = [_use(one) for one in found.unexplained]
        told["audit"] = {"files": read.files, "lines": read.lines, "bad_lines": read.bad_lines}
    return told


def _waiver(one: Waiver, *, counted: bool) -> dict[str, object]:
    said: dict[str, object] = {
        "state": one.state,
        "rule": one.rule,
        "issuer": one.issuer,
        "subject": one.subject,
        "backends": list(one.backends),
        "until_ns": one.until_ns,
    }
    if one.tool:
        said["tool"] = one.tool
    if one.reason:
        said["reason"] = one.reason
    if counted:
        said["used"] = one.used
        if one.last_ns is not None:
            said["last_ns"] = one.last_ns
    return said


def _use(one: Use) -> dict[str, object]:
    return {
        "rule": one.rule,
        "issuer": one.issuer,
        "subject": one.subject,
        "backend": one.backend,
        "time_ns": one.time_ns,
        **({"tool": one.tool} if one.tool else {}),
    }


def _when(time_ns: int) -> str:
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%MZ")
    except (OverflowError, ValueError, OSError):  # a year that no calendar here has
        return f"{time_ns} ns"

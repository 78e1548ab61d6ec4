"""`mcp-gateway policy replay` and `coverage`: what the recorded traffic says of a policy set."""

import json
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway.adapters.opa import snapshot
from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.place import private_folder
from gateway.adapters.opa.snapshot import Source
from gateway.cli_policy import AsJson, failed, required_opa
from gateway.lifecycle import coverage_showing, printing, recorded
from gateway.lifecycle.coverage import coverage
from gateway.lifecycle.recorded import NoAudit
from gateway.lifecycle.replay import showing
from gateway.lifecycle.replay.compare import KINDS
from gateway.lifecycle.replay.policy import Unanswered, policy
from gateway.lifecycle.replay.run import Report, replayed
from gateway.lifecycle.replay.traffic import Traffic, traffic
from gateway.lifecycle.repository import base_source, policy_source
from gateway.lifecycle.ruleset import Ruleset, ruleset

RECORDED = "recorded"
UNKNOWN = "unknown"
PROGRESS_EVERY = 2000

AuditFolder = Annotated[Path, typer.Option("--audit", help="folder of the audit files")]
Candidate = Annotated[
    Path, typer.Option("--policies", "-p", help="the candidate: a policy repository, its folder of policies, or a bundle")
]
Facts = Annotated[Path | None, typer.Option("--facts", help="a folder or a bundle: the facts, where they live apart")]
Schemas = Annotated[Path | None, typer.Option("--schemas", help="folder of schemas; default: beside the policies")]


def replay_command(
    audit: AuditFolder,
    policies: Candidate,
    against: Annotated[str, typer.Option(help="what to compare with: `recorded` answers, or another policy set")] = RECORDED,
    fail_on: Annotated[str, typer.Option(help=f"exit with 1 where there is any of: {', '.join(KINDS)}, {UNKNOWN}")] = "",
    facts: Facts = None,
    schemas: Schemas = None,
    as_json: AsJson = False,
) -> None:
    """Put recorded traffic to a changed policy set: who would newly be refused or let in, see more or less, owe otherwise.

    The gateway records what this needs with `audit.record: replay`. Secrets are then replaced by stand-ins; where a rule
    judges one, it is said that nobody can tell, and `unknown` in --fail-on makes that count. With a policy set in --against,
    rules that are the same in both sets keep what they said of the real values; it has its own facts, or where it brings none
    those of --facts too.

    Exit code 0: done; 1: there is what --fail-on names; 2: it cannot be told.

    Example: mcp-gateway policy replay --audit audit --policies . --against ../live --fail-on newly-allowed,newly-denied
    """
    wanted = {each.strip() for each in fail_on.split(",") if each.strip()}
    if unknown := sorted(wanted - {*KINDS, UNKNOWN}):
        raise failed(f"--fail-on {unknown[0]}: there is no such difference; there are {', '.join(KINDS)}, {UNKNOWN}")
    opa = required_opa()
    read = recorded.Reading()
    try:
        asked = traffic(recorded.records(audit, read))
        base = None if against == RECORDED else base_source(Path(against), schemas, facts)
        report = uvloop.run(_replayed(opa, asked, policy_source(policies, schemas, facts), base))
    except (NoAudit, OpaUnusable, PolicyRejected, Unanswered) as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(json.dumps(showing.as_json(report, asked, read)))
    else:
        showing.show(report, asked, read)
    if any(report.kinds[kind] for kind in KINDS if kind in wanted) or (UNKNOWN in wanted and _told_apart(report, asked)):
        raise typer.Exit(1)
    if not report.replayed:
        raise failed("nothing was replayed: the audit holds no question with an answer; record with `audit.record: replay`")


def coverage_command(
    audit: AuditFolder,
    policies: Annotated[Path | None, typer.Option("--policies", "-p", help="a policy set: tells also who never spoke")] = None,
    facts: Facts = None,
    schemas: Schemas = None,
    as_json: AsJson = False,
) -> None:
    """Which rules spoke in production, how often and when last; which never did; which refusals never mattered.

    A refusal never mattered where another rule always refused the same: taking it out would have changed no answer.

    Example: mcp-gateway policy coverage --audit audit --policies .
    """
    read = recorded.Reading()
    try:
        told = coverage(recorded.records(audit, read))
        source = None if policies is None else policy_source(policies, schemas, facts)
        rules = None if source is None else uvloop.run(_rules(required_opa(), source))
    except (NoAudit, OpaUnusable, PolicyRejected) as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(json.dumps(coverage_showing.as_json(told, rules, read)))
    else:
        coverage_showing.show(told, rules, read, str(source.folder) if source is not None else "")


async def _rules(opa: str, source: Source) -> Ruleset:
    with private_folder() as name:
        return await ruleset(opa, snapshot.take(source, Path(name)))


async def _replayed(opa: str, asked: Traffic, candidate: Source, base: Source | None) -> Report:
    def progress(done: int) -> None:
        if done % PROGRESS_EVERY == 0:
            printing.progress(f"{done} of {len(asked.questions)} questions")

    async with policy(opa, candidate) as new:
        if base is None:
            return await replayed(asked, new, None, progress=progress)
        async with policy(opa, base) as old:
            return await replayed(asked, new, old, progress=progress)


def _told_apart(report: Report, asked: Traffic) -> int:
    """Decisions of which something stays unknown, for whatever reason."""
    return report.unknown + report.without_answer + sum(asked.missing.values())

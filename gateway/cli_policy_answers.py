"""`mcp-gateway policy explain` and `access`: why an answer is what it is, and who gets which."""

import asyncio
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop

from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.snapshot import FACTS, Source
from gateway.cli_policy import AsJson, failed, required_opa
from gateway.errors import Undecided
from gateway.lifecycle import printing
from gateway.lifecycle.access import against, page, personas
from gateway.lifecycle.access import items as catalogs
from gateway.lifecycle.access import showing as tables
from gateway.lifecycle.access.against import KINDS, Difference
from gateway.lifecycle.access.personas import BadPersonas, Persona
from gateway.lifecycle.access.table import Moment, Table, table
from gateway.lifecycle.catalog.offered import CatalogFailed, live
from gateway.lifecycle.conditions.opened import Opened, opened
from gateway.lifecycle.explain import question, showing
from gateway.lifecycle.explain.answer import Explanation, explained
from gateway.lifecycle.explain.question import Hypothesis, Recorded, Unanswerable
from gateway.lifecycle.recorded import NoAudit
from gateway.lifecycle.repository import POLICIES, base_source, policy_source
from gateway.model import ItemType, JsonObject, Resource
from gateway.settings.load import SettingsError, load

Policies = Annotated[Path, typer.Option("--policies", "-p", help="a policy repository, its folder of policies, or a bundle")]
Facts = Annotated[Path | None, typer.Option("--facts", help="a folder or a bundle: the facts, where they live apart")]
Schemas = Annotated[Path | None, typer.Option("--schemas", help="folder of schemas; default: beside the policies")]
FACTLESS = "the policy set has no facts (mcp/facts), and without them nothing is decided: name those that lie apart with --facts"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the user wants explained: one of the three."""

    recorded: Recorded | None = None
    given: JsonObject | None = None
    thought_of: Hypothesis | None = None


def explain_command(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    decision: Annotated[str, typer.Argument(help="a decision's id, from the audit", show_default=False)] = "",
    audit: Annotated[Path, typer.Option("--audit", help="folder of the audit files")] = Path("audit"),
    policies: Policies = Path(),
    facts: Facts = None,
    schemas: Schemas = None,
    file: Annotated[Path | None, typer.Option("--input", "-i", help="a document as the policy gets it, in JSON")] = None,
    tool: Annotated[str, typer.Option("--tool", help="ask about this tool: crm__search")] = "",
    prompt: Annotated[str, typer.Option("--prompt", help="ask about this prompt")] = "",
    resource: Annotated[str, typer.Option("--resource", help="ask about this resource: gw-crm+crm://price-list")] = "",
    user: Annotated[str, typer.Option("--as", help="who asks")] = "somebody",
    issuer: Annotated[str, typer.Option("--issuer", help="who vouches for the user")] = question.ISSUER,
    group: Annotated[list[str] | None, typer.Option("--group", "-g", help="a group of the user (may be repeated)")] = None,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="a scope of the token (may be repeated)")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="the agent that acts for the user")] = None,
    surface: Annotated[str, typer.Option("--surface", help="the surface that is asked")] = "default",
    arguments: Annotated[str, typer.Option("--arguments", help="the arguments of the call, in JSON")] = "{}",
    as_json: AsJson = False,
) -> None:
    """Why a request is allowed, denied or hidden: every rule that spoke, where it stands, and what would change the answer.

    Either a decision that the audit holds, or a document (--input), or a request that nobody made (--tool, --as, --group).
    What would change the answer comes from OPA's partial evaluation and was asked again, so changed; where a change could not
    be tried, that is said. Exit code 0: allowed, or a list; 1: denied, hidden or undecided; 2: it cannot be told.

    Example: mcp-gateway policy explain --as alice --group analysts --tool crm__update_customer --arguments '{"email": "x"}'
    """
    named: list[tuple[ItemType, str]] = [("tool", tool), ("prompt", prompt), ("resource", resource)]
    wanted = [(type, name) for type, name in named if name]
    if len(wanted) + bool(decision) + bool(file) != 1:
        raise failed("name one thing to explain: a decision's id, --input FILE, --tool, --prompt or --resource")
    try:
        if decision:
            asked = _Asked(recorded=question.recorded(decision, audit))
        elif file is not None:
            asked = _Asked(given=question.from_file(file))
        else:
            type, name = wanted[0]
            groups, scopes = tuple(group or ()), tuple(scope or ())
            call = _arguments(arguments)
            asked = _Asked(thought_of=Hypothesis(type, name, user, issuer, groups, scopes, agent, call, surface))
        outcome = uvloop.run(_explained(required_opa(), policy_source(_whole(policies), schemas, facts), asked, as_json=as_json))
    except (Unanswerable, NoAudit, OpaUnusable, Undecided) as error:
        raise failed(str(error)) from error
    except PolicyRejected as error:
        raise failed(rejected(error)) from error
    if outcome not in ("allowed", "listed"):
        raise typer.Exit(1)


async def _explained(opa: str, source: Source, asked: _Asked, *, as_json: bool) -> str:
    """Print it; the outcome. Raises `Unanswerable`, `Undecided`, `OpaUnusable` or `PolicyRejected`."""
    async with opened(opa, source) as policy:
        given, notes = await _question(policy, asked)
        notes = notes if any(name.startswith(FACTS) for name in policy.copy.texts) else (*notes, FACTLESS)
        told = await explained(policy, given) if given is not None else None
        before = asked.recorded
        if as_json:
            members = told.members() if told is not None else {"outcome": before.record.get("outcome") if before else None}
            if before is not None:
                members |= {"recorded": before.record, "shadow": list(before.shadows)}
            typer.echo(json.dumps({**members, "assumed": list(notes)}))
        else:
            _show(policy, told, before, notes, str(source.folder))
        return told.outcome if told is not None else _outcome(before)


def _show(policy: Opened, told: Explanation | None, before: Recorded | None, notes: tuple[str, ...], folder: str) -> None:
    meant, notes = question.parted(notes)
    for note in meant:
        typer.echo("\n".join(showing.note(note)))
    if before is not None:
        typer.echo("\n".join(showing.recorded_lines(before, policy.rules, folder, policy.revision, again=told)))
    if told is not None:
        typer.echo("\n".join(showing.lines(told, folder)))
    for note in notes:
        typer.echo("\n".join(showing.note(note)))


async def _question(policy: Opened, asked: _Asked) -> tuple[JsonObject | None, tuple[str, ...]]:
    if asked.recorded is not None:
        return asked.recorded.question, ()
    if asked.given is not None:
        return asked.given, ()
    assert asked.thought_of is not None
    return question.question(asked.thought_of, await policy.value("mcp/facts"), time.time_ns())


def _outcome(before: Recorded | None) -> str:
    outcome = before.record.get("outcome") if before is not None else None
    return "allowed" if outcome in ("ok", "tool_error", None) else str(outcome)


def _arguments(text: str) -> JsonObject:
    """Raises `Unanswerable`."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unanswerable(f"--arguments: not JSON: {error}") from error
    if not isinstance(told, dict):
        raise Unanswerable('--arguments: no object; the arguments of a call are one: {"id": 7}')
    return told


def _whole(folder: Path) -> Path:
    """A policy set's folder, as somebody named it. Its `mcp` alone would be read as a set without rules and facts."""
    inner = folder.resolve()
    if inner.name == "mcp" and inner.is_dir() and not any((inner / name).is_dir() for name in ("mcp", POLICIES)):
        raise failed(f"{folder}: the policy set is the folder above: name {os.path.normpath(folder / '..')}")
    return folder


def rejected(error: PolicyRejected) -> str:
    return "\n".join(str(each) for each in error.findings)


Format = Literal["table", "csv", "markdown", "html", "json"]
TITLE = "Who may call what"


def access_command(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    people: Annotated[Path, typer.Option("--personas", help="the kinds of callers, in YAML")] = Path("personas.yaml"),
    policies: Policies = Path(),
    facts: Facts = None,
    schemas: Schemas = None,
    definitions: Annotated[
        Path | None,
        typer.Option(
            "--catalog", help="folder of `catalog export`, or of the reviewed definitions; default: `catalog` beside the policies"
        ),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", "-s", help="a settings file: the catalog is what its backends offer now")
    ] = None,
    backend: Annotated[list[str] | None, typer.Option("--backend", "-b", help="only this backend (may be repeated)")] = None,
    other: Annotated[
        Path | None, typer.Option("--against", help="another policy set: print only what changes from it to this one")
    ] = None,
    fail_on: Annotated[str, typer.Option(help=f"exit with 1 where there is any of: {', '.join(KINDS)}")] = "",
    format: Annotated[Format, typer.Option("--format", "-f", help="how to print it")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="write it there instead")] = None,
    as_json: AsJson = False,
) -> None:
    """Personas by catalog: what each may call, what is hidden from it, what is refused, and what is allowed under a condition.

    The conditions are what OPA leaves of the rules when the call is unknown (partial evaluation), in words; what cannot be told
    so is `unknown`. The catalog is what the facts know (`mcp-gateway catalog pin` writes it); with --catalog what `mcp-gateway
    catalog export` wrote, with --settings what the backends offer now: with what is new and changed. With --against only changes;
    the other set has its own facts, or where it brings none those of --facts too.

    Exit code 0: told; 1: there is what --fail-on names; 2: it cannot be told.

    Example: mcp-gateway policy access --personas personas.yaml --against ../live --format markdown
    """
    wanted = _failing(fail_on, other)
    shape: Format = "json" if as_json else format
    if shape == "html" and other is not None:
        raise failed("--against has no page; use --format markdown, csv or json, or leave --format out")
    try:
        whom = personas.read(people)
        opa = required_opa()
        known = _catalog(settings, definitions, tuple(backend or ()))
        mine = _Place(policy_source(_whole(policies), schemas, facts), definitions, frozenset(backend or ()), known)
        places = [mine]
        if other is not None:
            places.append(replace(mine, source=base_source(_whole(other), schemas, facts), base=True))
        found = uvloop.run(_tables(opa, whom, places))
    except (BadPersonas, CatalogFailed, OpaUnusable, SettingsError, Undecided) as error:
        raise failed(str(error)) from error
    except PolicyRejected as error:
        raise failed(rejected(error)) from error
    changes = against.differences(found[1], found[0]) if other is not None else None
    text = _told(found[0], shape) if changes is None else _changed(found, changes, shape)
    if text is not None and output is not None:
        output.write_text(text, encoding="utf-8")
    elif text is not None:
        typer.echo(text, nl=False)
    if changes is not None and any(each.kind in wanted for each in changes):
        raise typer.Exit(1)


def _failing(fail_on: str, other: Path | None) -> set[str]:
    """The changes that make the exit code 1."""
    wanted = {each.strip() for each in fail_on.split(",") if each.strip()}
    if unknown := sorted(wanted - set(KINDS)):
        raise failed(f"--fail-on {unknown[0]}: there is no such change; there are {', '.join(KINDS)}")
    if wanted and other is None:
        raise failed("--fail-on needs --against: the policy set that this one is compared with")
    return wanted


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a policy set and its catalog are."""

    source: Source
    definitions: Path | None
    backends: frozenset[str]
    known: tuple[Resource, ...] | None  # None: the catalog is what the facts know
    base: bool = False  # what another is compared with: one of several backends may be new


def _catalog(settings: Path | None, folder: Path | None, backends: tuple[str, ...]) -> tuple[Resource, ...] | None:
    """What is offered, now or when it was exported; None: neither was asked for. Raises `CatalogFailed` or `SettingsError`."""
    if settings is not None:
        if folder is not None:
            raise CatalogFailed("--settings asks the backends, --catalog reads a folder: name one of the two")
        read = load(settings)
        now = uvloop.run(live(read, backends or tuple(read.backends)))
        for note in now.notes:
            typer.echo(printing.plain(note), err=True)
        return catalogs.offered(now)
    return catalogs.exported(folder, frozenset(backends)) if folder is not None and catalogs.is_export(folder) else None


async def _tables(opa: str, whom: tuple[Persona, ...], places: list[_Place]) -> list[Table]:
    now_ns = time.time_ns()
    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_table(opa, whom, place, now_ns)) for place in places]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return [each.result() for each in asked]


async def _table(opa: str, whom: tuple[Persona, ...], place: _Place, now_ns: int) -> Table:
    folder = place.definitions or place.source.folder.absolute().parent / "catalog"
    async with opened(opa, place.source) as policy:
        items = place.known
        if items is None:
            defined = catalogs.definitions(policy.copy.policies, folder)
            items = _of_place(place, catalogs.items(await policy.value("mcp/facts"), defined))
        if not items:
            raise CatalogFailed("the catalog has no item of those backends")
        return await table(policy, whom, items, Moment(now_ns, printing.progress))


def _of_place(place: _Place, known: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """Those that were asked for of what the facts know: some. Raises `CatalogFailed`."""
    where = place.source.facts or place.source.folder
    if not known:
        unknown = "the facts know no item; `mcp-gateway catalog pin` writes them, --facts names those that lie apart"
        raise CatalogFailed(f"{where}: {unknown}")
    items = tuple(each for each in known if not place.backends or each.backend in place.backends)
    missing = catalogs.without_items(place.backends, {each.backend for each in known if each.backend is not None})
    if missing and not (items and place.base):
        raise CatalogFailed(f"{where}: {missing}")
    return items


def _told(told: Table, shape: Format) -> str | None:
    """None: it was printed."""
    match shape:
        case "json":
            return json.dumps(tables.members(told)) + "\n"
        case "csv":
            return tables.as_csv(told)
        case "html":
            return page.page(told, TITLE)
        case "markdown":
            return tables.as_markdown(tables.rows(told), TITLE, tables.counts(told))
        case "table":
            shown = tables.rows(told)
            printing.table(
                shown.headers, shown.rows, last=["", *shown.notes, *([""] if shown.notes else []), tables.counts(told)]
            )
            return None


def _changed(found: list[Table], changes: tuple[Difference, ...], shape: Format) -> str | None:
    after, before = found
    many = "1 answer changes" if len(changes) == 1 else f"{len(changes)} answers change"
    last = f"{many} from policy {before.revision} to {after.revision}"
    shown = against.rows(changes)
    match shape:
        case "json":
            told = {"before": before.revision, "after": after.revision, "changes": [each.members() for each in changes]}
            return json.dumps(told) + "\n"
        case "csv":
            return tables.lines_of_csv([shown.headers, *shown.rows])
        case "markdown":
            return tables.as_markdown(shown, "What changes in who may call what", last)
        case _:
            printing.table(shown.headers, shown.rows, last=last)
            return None

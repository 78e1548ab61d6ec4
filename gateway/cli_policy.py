"""`mcp-gateway policy`: the life of a policy set. Exit code 0: fine; 1: the answer is no; 2: asked wrongly, or it cannot run."""

import asyncio
import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.adapters.opa.command import OpaUnusable
from gateway.lifecycle import printing
from gateway.lifecycle.check import examination, showing
from gateway.lifecycle.check.report import Row
from gateway.lifecycle.joined import joined
from gateway.lifecycle.making import library
from gateway.lifecycle.making import repository as making
from gateway.lifecycle.making import rule as new_rule
from gateway.lifecycle.making.repository import NotMade
from gateway.lifecycle.making.rule import Verb
from gateway.lifecycle.programs import program
from gateway.lifecycle.repository import NoRepository, repository

policy = typer.Typer(
    no_args_is_help=True,
    help="Policies: make, check, preview, roll out, prove.\n\nExample: mcp-gateway policy check",
)

Folder = Annotated[Path, typer.Argument(help="the policy repository: a folder with policies, policy_tests and schemas")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for a machine")]


@policy.command("init")
def init_command(
    folder: Annotated[Path, typer.Argument(help="a new or empty folder")],
    as_json: AsJson = False,
) -> None:
    """Make a policy repository of your own: policies, tests, schemas, facts, linter, CI for GitHub and GitLab, README.

    It passes `policy check` as it is made. A folder that is not empty is refused.

    Example: mcp-gateway policy init our-policies
    """
    try:
        files = making.make(folder)
    except NotMade as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "files": files}))
        return
    typer.echo(f"{len(files)} files in {folder}. Read {folder}/README.md, then: mcp-gateway policy check {folder}")


@policy.command("new")
def new_command(  # noqa: PLR0913, PLR0917 — an argument for each option
    rule: Annotated[str | None, typer.Argument(help="servers/BACKEND/RULE or org/RULE; with --from there is none")] = None,
    folder: Folder = Path(),
    verb: Annotated[Verb, typer.Option("--verb", help="what the rule says")] = "deny",
    tool: Annotated[str | None, typer.Option("--tool", help="whose calls it is about; default: the rule's name")] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="library:RULE", help="copy a rule of the library instead")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="what the library has")] = False,
    force: Annotated[bool, typer.Option("--force", help="also about a tool that facts and schemas do not know yet")] = False,
    as_json: AsJson = False,
) -> None:
    """Begin a rule: its file with METADATA, typed by its tool's schema if there is one, and its test, which fails.

    With --from, copy a rule of the library with its tests and settings; --list tells what there is.

    A tool that its backend does not have, as far as facts and schemas know, is refused with the one that may be meant.

    Example: mcp-gateway policy new servers/crm/address_changes --tool update_customer

    Example: mcp-gateway policy new --from library:sql_read_only our-policies
    """
    if listing:
        _show_library(as_json=as_json)
        return
    if source is not None:
        _copy(source, Path(rule or ".") if folder == Path() else None, as_json=as_json)
        return
    if rule is None:
        raise failed("which rule? servers/<backend>/<rule> or org/<rule>, or --from library:RULE (--list shows what there is)")
    try:
        repository(folder)
        begun = new_rule.add(folder, rule, verb=verb, tool=tool, force=force)
    except (NoRepository, NotMade) as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(json.dumps({"rule": begun.rule, "test": begun.test, "note": begun.note or None}))
        return
    if begun.note:
        typer.echo(begun.note, err=True)
    typer.echo(f"{folder / begun.rule}: {new_rule.HINTS[verb]}")
    typer.echo(f"{folder / begun.test}: fails until the rule does so; then: mcp-gateway policy check {folder}")


def _show_library(*, as_json: bool) -> None:
    rules = library.offered()
    if as_json:
        typer.echo(json.dumps([{"rule": each.rule, "title": each.title} for each in rules], indent=2))
        return
    last = f"\nmcp-gateway policy new --from {library.PREFIX}{rules[0].rule} DIR" if rules else ""
    printing.table(("rule", "what it says"), [(each.rule, each.title) for each in rules], last=last)


def _copy(source: str, folder: Path | None, *, as_json: bool) -> None:
    """`folder`: of the repository; None: two words were given where one is meant."""
    if folder is None:
        raise failed("with --from a rule keeps its name: name the repository's folder and nothing else")
    if not source.startswith(library.PREFIX):
        raise failed(f"--from {library.PREFIX}RULE; --list shows what there is")
    try:
        repository(folder)
        made = library.copy(folder, source.removeprefix(library.PREFIX))
    except (NoRepository, NotMade) as error:
        raise failed(str(error)) from error
    if as_json:
        told = {"rule": f"org/{made.rule}", "files": made.files, "settings": made.settings or None, "schema": made.schema_grew}
        told |= {"lines": made.lines} if made.lines else {}
        told |= {"shared": made.shared} if made.shared else {}
        typer.echo(json.dumps(told))
        return
    for name in made.files:
        typer.echo(str(folder / name))
    if made.shared:
        lacking = [Path(name).stem for name in made.shared if name.startswith(f"{library.SHARED_RULES}/")]
        typer.echo(f"It imports {', '.join(f'data.mcp.lib.{name}' for name in lacking)}, which was missing and came along.")
    if made.schema_grew:
        typer.echo(f"The schema of facts knows settings.{made.rule} now.")
    if made.settings:
        typer.echo(f"Write your own settings into {folder / made.settings}.")
    elif made.lines:
        typer.echo(f"The facts are not in this repository. Say in them, with your own settings:\n\n{made.lines}\n")
    else:
        typer.echo(f"The facts have settings.{made.rule} already: they count.")
    typer.echo(f"To begin with, in the facts: `rules: {{org/{made.rule}: {{enforcement: observe}}}}`.")
    typer.echo(f"Then: mcp-gateway policy check {folder}")


@policy.command("check")
def check_command(  # noqa: PLR0913, PLR0917 — an argument for each option
    folder: Folder = Path(),
    rule: Annotated[str | None, typer.Option("--rule", help="only this one, quickly: org/RULE or servers/BACKEND/RULE")] = None,
    without: Annotated[list[str] | None, typer.Option("--without", help="leave this check out (may be repeated)")] = None,
    beside: Annotated[list[str] | None, typer.Option("--beside", help="a further folder of Rego that is in no bundle")] = None,
    facts: Annotated[Path | None, typer.Option("--facts", help="a folder or a bundle: the facts, where they live apart")] = None,
    no_mutation: Annotated[bool, typer.Option("--no-mutation", help="as --without mutation: it takes the longest")] = False,
    mutation_s: Annotated[float, typer.Option("--mutation-budget", min=0, help="seconds for mutants that live long")] = 60.0,
    test_s: Annotated[
        float, typer.Option("--test-timeout", min=0.1, help="seconds that one test may take; all of them 120, or twice as long")
    ] = 60.0,
    format: Annotated[
        Literal["table", "github"] | None, typer.Option("--format", help="default: what fits where it runs")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Everything that can be known of a policy repository before it decides about anybody, in one table.

    Format, types by the schemas, structure and facts, Regal with our own rules, tests and what they ask, full coverage,
    whether a test notices each condition of each rule (mutation), and that the bundle builds and its canaries hold. Where
    GitHub runs it, findings are shown on their lines. With --facts, everything is done as if these lay in mcp/facts.

    Example: mcp-gateway policy check . --format github

    Example: mcp-gateway policy check . --rule org/destructive
    """
    left_out = frozenset([*(without or ()), *(["mutation"] if no_mutation else [])])
    if unknown := sorted(left_out - examination.NAMES):
        raise failed(f"--without {unknown[0]}: there is no such check; there are {', '.join(sorted(examination.NAMES))}")
    try:
        checked = repository(folder, beside=tuple(beside or ()))
        opa = required_opa()
        regal = program("regal")
        plan = examination.Plan(without=left_out, mutation_s=mutation_s, rule=rule, test_s=test_s)
        with joined(checked, facts) if facts is not None else nullcontext(checked) as whole:
            rows = asyncio.run(examination.examined(whole, opa, regal, plan=plan, on_row=_progress))
    except (NoRepository, OpaUnusable) as error:
        raise failed(str(error)) from error
    if as_json:
        typer.echo(showing.as_json(rows, whole))
    else:
        if (format or ("github" if os.environ.get("GITHUB_ACTIONS") == "true" else "table")) == "github":
            showing.show_annotations(rows, whole)
        showing.show_table(rows, whole)
    if not all(each.fine for each in rows):
        raise typer.Exit(1)


def _progress(row: Row) -> None:
    printing.progress(f"{row.check}: {row.state}, {row.took_s:.1f} s")


def required_opa() -> str:
    """Raises `typer.Exit`."""
    found = program("opa")
    if found is None:
        raise failed("no opa: install Open Policy Agent, or name the program in $OPA")
    return found


def failed(message: str, code: int = 2) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)

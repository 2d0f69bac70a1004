"""`ljm bootstrap`: set up datasets and tables from schema files: plan, show, ask, do, look after them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import require_terminal, show
from lakeflow_job_meta.cli.render import print_data, print_json, say
from lakeflow_job_meta.diagnostics import counted, errors_in
from lakeflow_job_meta.errors import ApplyError, UsageError

if TYPE_CHECKING:
    from lakeflow_job_meta.bootstrap.apply import TableOutcome
    from lakeflow_job_meta.bootstrap.bootstrap import Bootstrap, StepPlan

NAME = "bootstrap"
HELP = "Set up datasets and tables from schema files: plan, show, ask, do."

PIPELINE = Path("metadata/setup/bootstrap_system.yml")
REFUSED = 1

app = typer.Typer(help=HELP, invoke_without_command=True, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def command(
    context: typer.Context,
    pipeline: Annotated[Path, typer.Option("--pipeline", metavar="FILE", help="The pipeline to execute.")] = PIPELINE,
    tenant_id: Annotated[str, typer.Option("--tenant-id", metavar="ID", help="On whose behalf.")] = "system",
    evolve: Annotated[
        bool, typer.Option("--evolve", help="Also change tables that differ, where no data is lost.")
    ] = False,
    force_tables: Annotated[
        bool, typer.Option("--force-tables", help="Make all tables anew; the old ones are kept as copies.")
    ] = False,
    force_all: Annotated[
        bool, typer.Option("--force-all", help="Delete the dataset with all its data, and make it anew.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what there is to do.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Look at the tables: health, contents, strangers.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the copies that --force-tables kept.")] = False,
    yes_delete: Annotated[
        list[str] | None,
        typer.Option("--yes-delete", metavar="DATASET", help="Don't ask before this dataset is deleted; repeatable."),
    ] = None,
    yes: options.Yes = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    if context.invoked_subcommand is not None:
        return 0
    if purge + check + (evolve or force_tables or force_all) > 1:
        raise UsageError("--check and --purge stand alone", hint="run `ljm bootstrap` once more for the other")
    from lakeflow_job_meta.bootstrap import Bootstrap, Wishes
    from lakeflow_job_meta.settings import load_settings

    settings = load_settings({"control_table": control_table, "home": home}, os.environ)
    bootstrap = Bootstrap(pipeline, tenant_id=tenant_id, settings=settings)
    say(f"store: {bootstrap.store.label}, run {bootstrap.correlation_id}")
    if check:
        return _check(bootstrap, output)
    plans = bootstrap.plan_purge() if purge else bootstrap.plan(Wishes(evolve, force_tables, force_all))
    for each in plans:
        show(each.plan, output)
    outcomes: list[TableOutcome] = []
    if not dry_run and any(each.plan.effective for each in plans):
        _ask(plans, output, yes=yes, yes_delete=yes_delete or ())
        try:
            outcomes = _carry_out(bootstrap, plans)
        except ApplyError as error:
            _report(plans, error.outcomes, output)
            raise
    _report(plans, outcomes, output)
    return REFUSED if any(errors_in(each.plan.diagnostics) for each in plans) else 0


def _ask(plans: Sequence[StepPlan], output: options.Output, *, yes: bool, yes_delete: Sequence[str]) -> None:
    """Go on only with a yes; the name of a dataset that is to be deleted has to be typed."""
    changes = sum(len(each.plan.effective) for each in plans)
    named = {each.plan.deletes for each in plans if each.plan.deletes}
    unsaid = sorted(name for name in named if name not in yes_delete)
    if output is options.Output.JSON and (unsaid or not yes):
        for each in plans:
            say(str(each.plan))
    for name in unsaid:
        _require_terminal_for(name)
        typed = typer.prompt(f"Type {name} to delete that dataset with all of its data", err=True)
        if typed != name:
            raise typer.Abort
    if not named and not yes:
        require_terminal(counted(changes, "change"))
        typer.confirm(f"Make {'these' if changes > 1 else 'this'} {counted(changes, 'change')}?", abort=True, err=True)


def _require_terminal_for(name: str) -> None:
    try:
        require_terminal(f"to delete the dataset {name}")
    except UsageError as problem:
        raise UsageError(problem.message, hint=f"if that is meant: --yes-delete {name}") from problem


def _carry_out(bootstrap: Bootstrap, plans: Sequence[StepPlan]) -> list[TableOutcome]:
    outcomes: list[TableOutcome] = []
    for each in plans:
        outcomes += bootstrap.apply(each)  # each of them is told by the log
    return outcomes


def _report(plans: Sequence[StepPlan], outcomes: Sequence[Any], output: options.Output) -> None:
    if output is options.Output.JSON:
        print_json(
            {"plans": [each.plan.to_dict() for each in plans], "outcomes": [each.to_dict() for each in outcomes]}
        )
    elif outcomes:
        done = [each for each in outcomes if each.done]
        for each in done:
            kept = f", the old one kept as {each.kept}" if each.kept else ""
            print_data(f"{each.action.subject}: {each.action.kind} done{kept}")
        print_data(f"Made {len(done)} of {counted(len(outcomes), 'change')}.")


def _check(bootstrap: Bootstrap, output: options.Output) -> int:
    from lakeflow_job_meta.model.finding import Status

    findings = bootstrap.check()
    counts = {str(status): number for status in Status if (number := sum(each.status is status for each in findings))}
    if output is options.Output.JSON:
        print_json({"checks": [each.to_dict() for each in findings], "counts": counts})
    else:
        for each in findings:
            print_data(f"{each.status:<10} {each.check}: {each.found}")
            if each.hint:
                print_data(f"{'':<10} hint: {each.hint}")
        print_data(", ".join(f"{number} {status}" for status, number in counts.items()))
    return REFUSED if any(each.status is Status.FAILED for each in findings) else 0

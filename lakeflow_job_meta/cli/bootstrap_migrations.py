"""`ljm bootstrap migrate …`: change tables of a dataset that exist already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import require_terminal
from lakeflow_job_meta.cli.bootstrap import PIPELINE
from lakeflow_job_meta.cli.render import print_data, print_json, print_plan, print_table, say
from lakeflow_job_meta.diagnostics import counted, errors_in
from lakeflow_job_meta.errors import ApplyError, UsageError
from lakeflow_job_meta.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakeflow_job_meta.bootstrap.migrations.migrate import SetupMigrations, Standing
    from lakeflow_job_meta.bootstrap.migrations.migration_plan import MigrationOutcome, MigrationPlan

NAME = "migrate"

Pipeline = Annotated[Path, typer.Option("--pipeline", metavar="FILE", help="The pipeline that sets up the dataset.")]
Folder = Annotated[
    Path | None,
    typer.Option("--migrations", metavar="FOLDER", help="Where they are [default: migrations/ beside the pipeline]."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what there is to do.")]
TakeOver = Annotated[bool, typer.Option("--take-over", help="Go on with what another run began: it is dead for sure.")]

app = typer.Typer(help="Change tables of the dataset that exist already.", no_args_is_help=True, rich_markup_mode=None)


@app.command("up", help="Apply what isn't applied yet: plan, show, ask, do.")
def up(
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", help="The newest to apply [default: all].")
    ] = None,
    dry_run: DryRun = False,
    yes: options.Yes = False,
    take_over: TakeOver = False,
    pipeline: Pipeline = PIPELINE,
    migrations: Folder = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    found = _open(pipeline, migrations, home)
    return _carry_out(found, found.plan_up(to, take_over=take_over), output, dry_run=dry_run, yes=yes)


@app.command("down", help="Take back what is applied, the newest first: plan, show, ask, do.")
def down(
    to: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="VERSION", help="The version that stays the newest, 0 for none [default: one back]."
        ),
    ] = None,
    discard_later_writes: Annotated[
        bool, typer.Option("--discard-later-writes", help="Restore tables even if they were written since.")
    ] = False,
    dry_run: DryRun = False,
    yes: options.Yes = False,
    take_over: TakeOver = False,
    pipeline: Pipeline = PIPELINE,
    migrations: Folder = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    found = _open(pipeline, migrations, home)
    plan = found.plan_down(to, take_over=take_over, discard=discard_later_writes)
    return _carry_out(found, plan, output, dry_run=dry_run, yes=yes)


@app.command("baseline", help="Record migrations as applied without running them: the tables are as they make them.")
def baseline(
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", help="The newest to record [default: all].")
    ] = None,
    dry_run: DryRun = False,
    yes: options.Yes = False,
    take_over: TakeOver = False,
    pipeline: Pipeline = PIPELINE,
    migrations: Folder = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    found = _open(pipeline, migrations, home)
    return _carry_out(found, found.plan_baseline(to, take_over=take_over), output, dry_run=dry_run, yes=yes)


@app.command("status", help="Show which migrations are applied, and what is wrong with the files.")
def status(
    pipeline: Pipeline = PIPELINE,
    migrations: Folder = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    standings, findings = _open(pipeline, migrations, home).status()
    if output is options.Output.JSON:
        print_json(
            {
                "migrations": [each.to_dict() for each in standings],
                "diagnostics": [each.to_dict() for each in findings],
            }
        )
    elif standings:
        print_table(("migration", "state", "since", "by", "error"), map(_row, standings))
    else:
        print_data("there are no migrations")
    if output is options.Output.TEXT:
        for each in findings:
            say(str(each))
    return 1 if errors_in(findings) else 0


def _row(standing: Standing) -> Sequence[str]:
    entry = standing.entry
    if entry is None:
        return standing.name, standing.state, "", "", ""
    return standing.name, standing.state, f"{entry.begun_at:%Y-%m-%d %H:%M}", entry.actor, entry.error or ""


def _open(pipeline: Path, folder: Path | None, home: str | None) -> SetupMigrations:
    settings = load_settings({"home": home}, os.environ)
    from lakeflow_job_meta.bootstrap import Bootstrap
    from lakeflow_job_meta.bootstrap.migrations.migrate import SetupMigrations

    bootstrap = Bootstrap(pipeline, settings=settings)
    datasets = {each.full_name: each for _, each in bootstrap.datasets()}
    if len(datasets) > 1:
        raise UsageError(
            f"{pipeline} sets up several datasets: {', '.join(datasets)}",
            hint="give each a pipeline file and a folder of migrations of its own: --pipeline, --migrations",
        )
    (dataset,) = datasets.values()
    say(f"store: {bootstrap.store.label}")
    return SetupMigrations(bootstrap.store, dataset.catalog, dataset.name, folder or pipeline.parent / "migrations")


def _carry_out(
    migrations: SetupMigrations, plan: MigrationPlan, output: options.Output, *, dry_run: bool, yes: bool
) -> int:
    to_do = len(plan.effective)
    if output is options.Output.TEXT:
        print_plan(plan)
    if to_do and not dry_run and not yes:
        require_terminal(counted(to_do, "migration"))
        if output is options.Output.JSON:
            say(str(plan))
        typer.confirm(f"Do {'this' if to_do == 1 else f'these {to_do}'}?", abort=True, err=True)
    outcomes: list[MigrationOutcome] = []
    try:
        if to_do and not dry_run:
            outcomes = migrations.apply(plan, _tell)
    except ApplyError as error:
        _report(plan, error.outcomes, output, dry_run=False)
        raise
    _report(plan, outcomes, output, dry_run=dry_run)
    return 0


def _tell(outcome: MigrationOutcome) -> None:
    what = "done" if outcome.done else f"FAILED: {outcome.error}"
    say(f"{outcome.action.subject}: {outcome.action.doing} {what}")


def _report(
    plan: MigrationPlan, outcomes: Sequence[MigrationOutcome], output: options.Output, *, dry_run: bool
) -> None:
    if output is options.Output.JSON:
        print_json({"plan": plan.to_dict(), "outcomes": [each.to_dict() for each in outcomes]})
    elif plan.effective and not dry_run:
        done = sum(each.done for each in outcomes)
        print_data(f"{done} of {counted(len(plan.effective), 'migration')} done.")

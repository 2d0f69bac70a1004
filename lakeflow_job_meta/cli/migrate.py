"""`ljm migrate`: bring the tables to the schema version of this product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import require_terminal
from lakeflow_job_meta.cli.render import print_data, print_json, say
from lakeflow_job_meta.diagnostics import counted

if TYPE_CHECKING:
    from lakeflow_job_meta.control.migrations import Step
    from lakeflow_job_meta.model.table import TableName

NAME = "migrate"
HELP = "Bring the tables to the schema version of this product: plan, show, ask, do."


def command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what there is to do.")] = False,
    yes: options.Yes = False,
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home, lock_timeout_seconds=lock_timeout)
    from lakeflow_job_meta.metadata_manager import MetadataManager

    manager = MetadataManager(settings.control_table, settings=settings)
    say(f"store: {manager.store.label}")
    plan = manager.plan_migration()
    to_do = plan.effective
    if output is options.Output.TEXT:
        print_data(str(plan))
    if to_do and not dry_run and not yes:
        require_terminal(counted(len(to_do), "migration"))
        if output is options.Output.JSON:
            say(str(plan))
        typer.confirm(f"Migrate {counted(len(to_do), 'table')}?", abort=True, err=True)
    done = manager.migrate(_tell) if to_do and not dry_run else []
    if output is options.Output.JSON:
        tables = [each.to_dict() for each in plan.tables]
        print_json({"tables": tables, "migrated": [each.to_dict() for each in done]})
    elif done:
        print_data(f"Migrated {counted(len(done), 'table')}. What undoes it, with all that is written from now on:")
        for each in done:
            print_data(f"  {each.undo}")
    elif not to_do:
        print_data("Nothing to migrate.")
    return 0


def _tell(table: TableName, step: Step) -> None:
    say(f"{table}: {step.words}: done")

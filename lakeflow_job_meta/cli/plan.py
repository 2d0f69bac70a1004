"""`ljm plan`: what apply would do."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data

NAME = "plan"
HELP = "Show what apply would do; change nothing."

CHANGES, ERRORS = 2, 1


def command(
    select: options.Select = None,
    refresh: options.Refresh = True,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 0: nothing to do, 2: changes, 1: any error.")
    ] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    default_warehouse_id: options.Warehouse = None,
    cluster_id: options.Cluster = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(
        control_table=control_table,
        home=home,
        workspace=workspace,
        default_warehouse_id=default_warehouse_id,
        cluster_id=cluster_id,
    )
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    found = JobOrchestrator(settings.control_table, settings=settings).plan(select or None, refresh=refresh)
    print_data(found.to_json() if output is options.Output.JSON else str(found))
    if not detailed_exitcode:
        return 0
    return ERRORS if found.failed else CHANGES if found.effective else 0

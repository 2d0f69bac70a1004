"""`ljm forget`: let go of jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import say_where
from lakeflow_job_meta.cli.render import print_data, print_json

NAME = "forget"
HELP = "Let go of the jobs of modules without touching them."


def command(
    modules: Annotated[
        list[str], typer.Argument(metavar="MODULE...", help="Modules without active rows: names or globs.")
    ],
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(
        control_table=control_table, home=home, workspace=workspace, lock_timeout_seconds=lock_timeout
    )
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    say_where(orchestrator)
    forgotten = orchestrator.forget(modules)
    if output is options.Output.JSON:
        print_json({"forgotten": forgotten})
    else:
        for module in forgotten:
            print_data(f"{module}: forgotten, its job stays as it is")
    return 0

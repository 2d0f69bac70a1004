"""`ljm repair`: run again what failed in a run."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json
from lakeflow_job_meta.cli.run import ended
from lakeflow_job_meta.cli.runs import Which, orchestrator_of
from lakeflow_job_meta.cli.watch import watch

NAME = "repair"
HELP = "Run the failed tasks of a run again, and what depends on them; what succeeded stays."


def command(
    run_id: Which,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="TASK", help="Just this task; may be repeated.")
    ] = None,
    watched: Annotated[bool, typer.Option("--watch", "-w", help="Stay until it ends, and show how it goes.")] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    runs = orchestrator_of(control_table, home, workspace).runs
    run = runs.find(run_id)
    module = runs.modules().get(run.job_id, "")
    repair_id = runs.repair(run, only or ())
    if watched:
        return ended(runs, module, watch(runs, module, run.run_id), output)
    if output is options.Output.JSON:
        print_json({"module": module, "run_id": run.run_id, "repair_id": repair_id, "page_url": run.page_url})
    else:
        print_data(f"repairing run {run.run_id} of {module}; `ljm runs show {run.run_id}` tells how it goes")
    return 0

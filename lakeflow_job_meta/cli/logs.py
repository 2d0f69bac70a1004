"""`ljm logs`: what a task of a run left."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, say
from lakeflow_job_meta.cli.run_text import names_of, output_lines
from lakeflow_job_meta.cli.runs import Which, orchestrator_of

NAME = "logs"
HELP = "Show all that a task of a run left, or the task that a loop repeats: error, result, logs; of each attempt."


def command(
    run_id: Which,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's key.")],
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    runs = orchestrator_of(control_table, home, workspace).runs
    run = runs.find(run_id)
    if all(each.task_key != task for each in run.tasks):
        run = runs.with_iterations(run)
    names = names_of(run.iterations)
    found = [(each, runs.output(run, each)) for each in runs.attempts(run, task)]
    if output is options.Output.JSON:
        print_json([{**each.to_dict(), "output": left} for each, left in found])
        return 0
    for each, left in found:
        name = names.get(each.task_run_id) or f"{each.task_key}, attempt {each.attempt}"
        say(f"{name}: {each.word}")
        print_data("\n".join(output_lines(left) or ["(nothing)"]))
    return 0

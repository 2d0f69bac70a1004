"""`ljm run`: run a module's job now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import say_where
from lakeflow_job_meta.cli.render import print_data, print_json, say
from lakeflow_job_meta.cli.runs import orchestrator_of, outputs_of, print_run
from lakeflow_job_meta.cli.watch import watch
from lakeflow_job_meta.errors import RunFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakeflow_job_meta.model.run import Run
    from lakeflow_job_meta.orchestrator import JobOrchestrator
    from lakeflow_job_meta.runs.module_runs import ModuleRuns

NAME = "run"
HELP = "Run a module's job now, as it was applied."

INTERRUPTED = 130


def command(
    module: Annotated[str, typer.Argument(help="The module.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="TASK", help="Run just this task; may be repeated.")
    ] = None,
    watched: Annotated[bool, typer.Option("--watch", "-w", help="Stay until it ends, and show how it goes.")] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    parameters = _parameters(param or ())
    orchestrator = orchestrator_of(control_table, home, workspace)
    say_where(orchestrator)
    _warn_of_changes(orchestrator, module)
    runs = orchestrator.runs
    run_id = runs.start(module, parameters, only or ())
    if watched:
        return ended(runs, module, watch(runs, module, run_id), output)
    if output is options.Output.JSON:
        print_json({"module": module, "run_id": run_id})
    else:
        print_data(f"{module}: run {run_id} started; `ljm runs show {run_id}` tells how it goes")
    return 0


def ended(runs: ModuleRuns, module: str, watched: tuple[Run, bool], output: options.Output) -> int:
    """Tell how a run that was watched ended; returns the exit code.

    Raises:
        RunFailed: without success, and not because of Ctrl-C.
    """
    run, interrupted = watched
    run = runs.with_iterations(run)
    left = outputs_of(runs, run)
    if output is options.Output.JSON:
        print_json({"module": module, **run.to_dict(), "outputs": left})
    else:
        print_run(module, run, left)
    if interrupted:
        return INTERRUPTED
    if run.succeeded:
        return 0
    if output is options.Output.JSON:
        return RunFailed.exit_code  # the run was told already, and stdout is one JSON value
    hint = f"`ljm repair {run.run_id}` runs again what failed"
    raise RunFailed(f"run {run.run_id} of {module} ended as {run.word}", hint=hint)


def _parameters(given: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        raise UsageError(f"--param: expected NAME=VALUE, found {', '.join(repr(each) for each in wrong)}")
    return {name: value for name, _, value in pairs}


def _warn_of_changes(orchestrator: JobOrchestrator, module: str) -> None:
    """What runs is what was applied: rows that wait are told of."""
    waiting = [row["to_do"] for row in orchestrator.status() if row["module"] == module and row["to_do"]]
    if waiting:
        say(f"{module}: its rows ask for more than was applied ({waiting[0]}); `ljm apply` comes first")

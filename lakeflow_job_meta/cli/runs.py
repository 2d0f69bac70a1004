"""`ljm runs …`: the runs of our jobs, and their ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.default_group import ListsByDefault
from lakeflow_job_meta.cli.render import print_data, print_json, print_table, say
from lakeflow_job_meta.cli.run_text import STEP, details, duration, gantt, headline, names_of, output_lines
from lakeflow_job_meta.cli.since import parse_since
from lakeflow_job_meta.errors import WorkspaceError

if TYPE_CHECKING:
    from lakeflow_job_meta.model.run import Run
    from lakeflow_job_meta.orchestrator import JobOrchestrator
    from lakeflow_job_meta.runs.module_runs import ModuleRuns

app = typer.Typer(
    help="The runs of our jobs, the newest first: `ljm runs [MODULE]` is `ljm runs list [MODULE]`.",
    cls=ListsByDefault,
    rich_markup_mode=None,
)

Which = Annotated[str, typer.Argument(metavar="ID", help="A run's id, or a module for its newest run.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="How long ago (30m, 12h, 1d, 2w), or an ISO 8601 time.")
]

LAST_LINES, FIRST_FAILED = 10, 5
"""So much of each output is shown, and of so many failed iterations; `ljm logs` has all of it."""


def orchestrator_of(control_table: str | None, home: str | None, workspace: str | None) -> JobOrchestrator:
    """The jobs that the options of a command name."""
    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    return JobOrchestrator(settings.control_table, settings=settings)


@app.command("list", help="List runs as the workspace has them, the newest first.")
def list_(
    module: Annotated[str | None, typer.Argument(help="Only this module's.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that ended without success.")] = False,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many at the most.")] = 20,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    now = datetime.now(UTC)
    start = parse_since(since, now)
    runs = orchestrator_of(control_table, home, workspace).runs
    found = runs.newest(module, failed=failed, since=start, limit=limit)
    if output is options.Output.JSON:
        print_json([{"module": name, **run.to_dict()} for name, run in found])
        return 0
    if found:
        print_table(
            ("started", "module", "run_id", "state", "took", "trigger"),
            [_cells(*each, now) for each in found],
            _sentence,
        )
    else:
        say("no runs")
    return 0


def _cells(module: str, run: Run, now: datetime) -> Sequence[str]:
    took = duration(run.elapsed(now) / STEP)
    return (f"{run.start:%m-%d %H:%M:%S}", module, str(run.run_id), run.word, took, run.trigger)


def _sentence(cells: Sequence[str]) -> str:
    """A run where the table is too wide.

    >>> _sentence(["11-30 13:59:47", "crm.orders.dl_to_sink", "7", "SUCCESS", "2.2 s", "ONE_TIME"])
    '11-30 13:59:47 crm.orders.dl_to_sink: SUCCESS, run 7, took 2.2 s, ONE_TIME'
    """
    started, module, run_id, state, took, trigger = cells
    return f"{started} {module}: {state}, run {run_id}, took {took}, {trigger}"


@app.command("show", help="Show a run: its tasks over time, errors, what they left.")
def show(
    run_id: Which,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    runs = orchestrator_of(control_table, home, workspace).runs
    run = runs.with_iterations(runs.find(run_id))
    module = runs.modules().get(run.job_id, "")
    left = outputs_of(runs, run)
    if output is options.Output.JSON:
        print_json({"module": module, **run.to_dict(), "outputs": left})
        return 0
    print_run(module, run, left)
    return 0


def outputs_of(runs: ModuleRuns, run: Run) -> dict[str, dict[str, Any]]:
    """What the last attempt of each task left, by task, and what the first failed iterations of its loops did; tasks
    that left nothing aren't in it."""
    names = names_of(run.iterations)
    latest = {task.task_run_id for task in run.latest}
    failed = [each for each in run.iterations if each.failed and each.loop_run_id in latest][:FIRST_FAILED]
    left: dict[str, dict[str, Any]] = {}
    for task in (*run.latest, *failed):
        if not task.ended or task.word in ("UPSTREAM_FAILED", "UPSTREAM_CANCELED", "EXCLUDED", "DISABLED"):
            continue
        name = names.get(task.task_run_id, task.task_key)
        try:
            left[name] = runs.output(run, task)
        except WorkspaceError as error:
            left[name] = {"error": f"its output can't be told: {error.message}"}
    return left


def print_run(module: str, run: Run, left: dict[str, dict[str, Any]]) -> None:
    """A run to stdout."""
    now = datetime.now(UTC)
    print_data(headline(module, run, now))
    print_data("\n".join([*details(run), *gantt(run, now)]))
    for task, output in left.items():
        lines = output_lines(output)
        if not lines:
            continue
        more = f" (the last {LAST_LINES} of {len(lines)} lines)" if len(lines) > LAST_LINES else ""
        print_data(f"{task}{more}:")
        print_data("\n".join(f"  {line}" for line in lines[-LAST_LINES:]))


@app.command("collect", help="Bring the ledger up to date: a row for each run of our jobs, and for each of its tasks.")
def collect(
    since: Since = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    start = parse_since(since, datetime.now(UTC))
    collected = orchestrator_of(control_table, home, workspace).runs.collect(start)
    if output is options.Output.JSON:
        print_json(collected.to_dict())
        return 0
    print_data(str(collected))
    for row in collected.breaches:
        print_data(f"  {row['module_name']}: run {row['run_id']} is {row['sla']}, {row['sla_seconds']} s are allowed")
    return 0

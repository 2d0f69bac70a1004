"""`ljm monitor`: keep jobs equal to rows, and rows equal to files, until stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, say

if TYPE_CHECKING:
    from lakeflow_job_meta.monitor import Cycle

NAME = "monitor"
HELP = "Watch the table, and a folder if given, and keep the jobs up to date until stopped."


def command(
    folder: Annotated[str | None, typer.Argument(help="A folder, or /Volumes/catalog/schema/volume.")] = None,
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between two looks.")] = 60,
    drift_interval: Annotated[
        float, typer.Option("--drift-interval", min=0, help="Seconds between two looks at the workspace.")
    ] = 600,
    heartbeat: Annotated[
        float, typer.Option("--heartbeat", min=0, help="Seconds between two signs of life in the state table; 0: none.")
    ] = 60,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Answer /healthz and /metrics here, on loopback only."),
    ] = None,
    runs_interval: Annotated[
        float,
        typer.Option("--runs-interval", min=0, help="Seconds between two looks for runs; 0: none."),
    ] = 0,
    jobs: Annotated[bool, typer.Option("--jobs/--no-jobs", help="Update jobs, or only load files.")] = True,
    max_iterations: Annotated[
        int | None, typer.Option("--max-iterations", min=1, help="End after so many looks.")
    ] = None,
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
    from lakeflow_job_meta.monitor import MetadataMonitor

    monitor = MetadataMonitor(
        settings.control_table,
        folder,
        check_interval_seconds=interval,
        auto_update_jobs=jobs,
        drift_interval_seconds=drift_interval,
        settings=settings,
        heartbeat_seconds=heartbeat,
        listen=listen,
        runs_interval_seconds=runs_interval,
        on_cycle=_print_json if output is options.Output.JSON else _print_text,
    )
    orchestrator = monitor.orchestrator
    say(f"store: {orchestrator.store.label}, workspace: {orchestrator.workspace.label}")
    say(f"watching {settings.control_table}{f' and {folder}' if folder else ''} every {interval:g} s; Ctrl-C ends it")
    monitor.run_continuous(max_iterations)
    return 0


def _print_json(cycle: Cycle) -> None:
    import json

    print_data(json.dumps(cycle.to_dict(), ensure_ascii=False, default=str))


def _print_text(cycle: Cycle) -> None:
    if cycle.loaded is not None and cycle.loaded.wrote:
        print_data(str(cycle.loaded))
    if cycle.synced is not None and cycle.synced.wrote:
        print_data(str(cycle.synced))
    for outcome in cycle.outcomes:
        if outcome.done:
            print_data(f"{outcome.action.module}: {outcome.action.kind} done, job {outcome.job_id}")

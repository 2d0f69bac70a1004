"""`ljm status`: each module's job in one table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.lease import monitor_text
from lakeflow_job_meta.cli.render import print_data, print_json, print_table, say, table_width
from lakeflow_job_meta.cli.run_text import duration

if TYPE_CHECKING:
    from lakeflow_job_meta.orchestrator import JobOrchestrator

NAME = "status"
HELP = "Show each module's job: its state, when it was last applied, what waits, the last error."

ALWAYS = ("module", "job_id", "status", "applied_at")
WHERE_ANY = ("drift", "to_do", "last_error")
"""Columns that are shown where a module has something in them, so that the table fits into 80 characters."""

UNBROKEN = ("job_id", "status", "applied_at")


def command(
    refresh: Annotated[
        bool, typer.Option("--refresh/--no-refresh", help="Look at the workspace too, for drift.")
    ] = False,
    runs: Annotated[
        bool, typer.Option("--runs", help="How the runs of the last 30 days went, out of the ledger.")
    ] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    rows = orchestrator.status(refresh=refresh)
    if runs:
        return _show_runs(orchestrator, rows, output)
    if output is options.Output.JSON:
        print_json(rows)
        return 0
    _print([{**row, "drift": _drift(row["drift"])} for row in rows], drift=refresh)
    for monitor in orchestrator.monitors():
        print_data(monitor_text(monitor))
    return 0


def _show_runs(orchestrator: JobOrchestrator, rows: Sequence[Mapping[str, Any]], output: options.Output) -> int:
    statistics = orchestrator.runs.statistics()
    if statistics is None:
        say("no run was ever collected: `ljm runs collect`, or `ljm monitor --runs-interval 60`, does that")
        statistics = {}
    now = datetime.now(UTC)
    told = {row["module"]: statistics[row["module"]].to_dict(now) for row in rows if row["module"] in statistics}
    if output is options.Output.JSON:
        print_json([{**row, "runs": told.get(row["module"])} for row in rows])
        return 0
    columns = ("module", "runs", "success", "p50", "p95", "sla", "last success")
    print_table(columns, [_run_cells(row["module"], told.get(row["module"])) for row in rows])
    return 0


def _run_cells(module: str, told: Mapping[str, Any] | None) -> Sequence[str]:
    if told is None:
        return (module, "0", "", "", "", "", "")
    since = told["seconds_since_success"]
    return (
        module,
        str(told["runs"]),
        f"{100 * told['success_rate']:.0f} %",
        duration(told["p50_ms"]),
        duration(told["p95_ms"]),
        f"{told['breaches']} missed" if told["breaches"] else "",
        "never" if since is None else f"{duration(1000 * since)} ago",
    )


def _drift(paths: Sequence[str] | None) -> str:
    if paths is None:
        return ""
    return "\n".join(paths) or "none"


def _print(rows: Sequence[Mapping[str, Any]], *, drift: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = [*ALWAYS, *(name for name in WHERE_ANY if (name == "drift" and drift) or any(row[name] for row in rows))]
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold", no_wrap=column in UNBROKEN)
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    Console(file=sys.stdout, width=table_width()).print(table)


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:19] if hasattr(value, "isoformat") else str(value)

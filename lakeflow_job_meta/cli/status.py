"""`ljm status`: each module's job, as recorded."""

from __future__ import annotations

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_json, print_table, say

NAME = "status"
HELP = "Show each module's job as recorded; asks the workspace nothing."


def command(
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    rows = JobOrchestrator(settings.control_table, settings=settings).status()
    if output is options.Output.JSON:
        print_json(rows)
        return 0
    columns = ("module", "job_id", "status", "applied_at", "to_do")
    print_table(columns, ([_cell(row[column]) for column in columns] for row in rows))
    for row in rows:
        if row["last_error"]:
            say(f"{row['module']}: {row['last_error']}")
    return 0


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:19] if hasattr(value, "isoformat") else str(value)

"""`ljm log`: what was done to which job."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_json, print_table, say

NAME = "log"
HELP = "Show what was done to which job, the newest first."

COLUMNS = ("logged_at", "actor", "module_name", "action", "outcome", "job_id", "message")
LONG = (
    *COLUMNS[:-1], "control_version", "duration_ms", "before_fingerprint", "after_fingerprint", "correlation_id",
    "workspace_id", "message",
)  # fmt: skip


def command(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many at the most.")] = 20,
    module: Annotated[str | None, typer.Option("--module", "-m", help="Only this module's.")] = None,
    long: Annotated[bool, typer.Option("--long", "-l", help="All that is known of each, as `-o json` has it.")] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home)
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    rows = JobOrchestrator(settings.control_table, settings=settings).log(limit, module)
    if output is options.Output.JSON:
        print_json(rows)
    else:
        columns = LONG if long else COLUMNS
        print_table(columns, [[_cell(row[column]) for column in columns] for row in rows])
        if not rows:
            say(f"nothing was done {f'to a module {module} ' if module else ''}so far")
    return 0


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:19] if hasattr(value, "isoformat") else str(value)

"""`ljm log`: what was done to which job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_json, print_table, say
from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.model.plan_text import plain

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

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    rows = orchestrator.log(limit, module)
    if output is options.Output.JSON:
        print_json(rows)
    elif rows:
        columns = LONG if long else COLUMNS
        print_table(columns, [[_cell(row[column]) for column in columns] for row in rows], None if long else _sentence)
    if not rows:
        say(f"nothing was done so far{f' to a module {module}' if module else ''}")
        known = {row["module_name"] for row in orchestrator.log()} if module else set[str]()
        if hint := nearest(module or "", known):
            say(f"  hint: {hint}")
    return 0


def _sentence(cells: Sequence[str]) -> str:
    """An entry where the table is too wide.

    >>> _sentence(["2026-11-21 07:21:41", "alice", "hello", "create", "done", "7", "new module"])
    '2026-11-21 07:21:41 hello: create done, job 7, by alice: new module'
    """
    at, actor, module, action, outcome, job, message = map(plain, cells)
    what = f"{at} {module}: {action} {outcome}{f', job {job}' if job else ''}, by {actor}"
    return f"{what}: {message}" if message else what


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:19] if hasattr(value, "isoformat") else str(value)

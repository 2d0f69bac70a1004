"""`ljm identity …`: whose the jobs are, after a table was copied or the workspace changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import say_where
from lakeflow_job_meta.cli.render import print_data, print_json
from lakeflow_job_meta.errors import UsageError

if TYPE_CHECKING:
    from lakeflow_job_meta.orchestrator import JobOrchestrator

app = typer.Typer(help="Whose the jobs are.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show", help="Show whose the jobs of this control table are, and in which workspaces it has some.")
def show(
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    _print(_orchestrator(control_table, home, workspace, None), output)
    return 0


@app.command("new", help="Make a copied table a control table of its own: a new owner, and none of the jobs.")
def new(
    yes: options.Yes = False,
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    orchestrator = _orchestrator(control_table, home, workspace, lock_timeout)
    say_where(orchestrator)
    before = orchestrator.identity()
    if before["made_as"] == before["control_table"] and not yes:
        why = f"{before['control_table']} is no copy: its jobs would be nobody's, and made again"
        if not sys.stdin.isatty():
            raise UsageError(why, hint="if that is meant: --yes")
        typer.confirm(f"{why}. Is that meant?", abort=True, err=True)
    orchestrator.new_identity()
    _print(orchestrator, output)
    return 0


@app.command("keep", help="Say that this table is the original, and meant to have jobs in this workspace.")
def keep(
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    orchestrator = _orchestrator(control_table, home, workspace, lock_timeout)
    say_where(orchestrator)
    orchestrator.keep_identity()
    _print(orchestrator, output)
    return 0


def _orchestrator(
    control_table: str | None, home: str | None, workspace: str | None, lock_timeout: float | None
) -> JobOrchestrator:
    settings = options.settings_of(
        control_table=control_table, home=home, workspace=workspace, lock_timeout_seconds=lock_timeout
    )
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    return JobOrchestrator(settings.control_table, settings=settings)


def _print(orchestrator: JobOrchestrator, output: options.Output) -> None:
    identity = orchestrator.identity()
    if output is options.Output.JSON:
        print_json(identity)
        return
    for name in ("control_table", "made_as", "owner", "workspace"):
        print_data(f"{name}: {identity[name]}")
    print_data(f"workspaces: {', '.join(identity['workspaces']) or '–'}")

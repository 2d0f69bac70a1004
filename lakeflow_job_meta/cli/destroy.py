"""`ljm destroy`: delete the jobs that are ours."""

from __future__ import annotations

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import carry_out, require_terminal, say_where, show
from lakeflow_job_meta.cli.render import say
from lakeflow_job_meta.diagnostics import counted

NAME = "destroy"
HELP = "Delete the jobs that this control table made, whatever its rows say; the rows stay."


def command(
    select: options.Select = None,
    yes: options.Yes = False,
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(
        control_table=control_table, home=home, workspace=workspace, lock_timeout_seconds=lock_timeout
    )
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    say_where(orchestrator)
    plan = orchestrator.plan(select or None, destroy=True)
    show(plan, output)
    if plan.effective and not yes:
        require_terminal(counted(len(plan.effective), "deletion"))
        if output is options.Output.JSON:
            say(str(plan))
        typed = typer.prompt(f"Type {settings.control_table} to delete {counted(len(plan.effective), 'job')}", err=True)
        if typed != settings.control_table:
            raise typer.Abort
    return carry_out(orchestrator, plan, output)

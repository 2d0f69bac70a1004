"""`ljm plan`: what apply would do."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_plan, say
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import ApplyError, InputError, UsageError

if TYPE_CHECKING:
    from lakeflow_job_meta.model.plan import Plan

NAME = "plan"
HELP = "Show what apply would do; change nothing."

CHANGES = 2


def command(
    select: options.Select = None,
    prune: options.Prune = False,
    refresh: options.Refresh = True,
    drift_only: Annotated[
        bool, typer.Option("--drift-only", help="Only what was changed in the workspace, not what rows ask for.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan, for `ljm apply FILE`.")
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 0: nothing to do, 2: changes, 1: any error.")
    ] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    default_warehouse_id: options.Warehouse = None,
    cluster_id: options.Cluster = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    if drift_only and (out is not None or not refresh):
        raise UsageError(
            f"--drift-only doesn't go with {'--out' if out is not None else '--no-refresh'}",
            hint="drift is only seen in the workspace, and shown; apply mends it together with what the rows ask for",
        )
    settings = options.settings_of(
        control_table=control_table,
        home=home,
        workspace=workspace,
        default_warehouse_id=default_warehouse_id,
        cluster_id=cluster_id,
    )
    from lakeflow_job_meta.model.saved_plan import SavedPlan
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    found = JobOrchestrator(settings.control_table, settings=settings).plan(
        select or None, refresh=refresh, prune=prune
    )
    if drift_only:
        found = found.only_drift
    if output is options.Output.JSON:
        print_data(found.to_json())
    else:
        print_plan(found)
    if out is not None:
        saved = SavedPlan.of(found, asdict(settings), select=select or None, prune=prune)
        _save(saved.to_json(found), out, found)
    if found.failed:
        # As apply does of the same plan: who plans in a pipeline has to learn of it before.
        raise ApplyError(
            f"{counted(len(found.failed), 'module')} can't go on; all others are planned",
            failures={action.module: action.reason for action in found.failed},
        )
    changes = found.effective or (drift_only and found.actions)
    return CHANGES if detailed_exitcode and changes else 0


def _save(text: str, out: Path, plan: Plan) -> None:
    try:
        # Job settings may hold what isn't for everybody's eyes.
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise InputError(f"{out} can't be written: {error.strerror}") from error
    say(f"saved to {out}: {counted(len(plan.effective), 'change')}; `ljm apply {out}` applies just that")

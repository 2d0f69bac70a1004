"""The run that a request names, and whether the caller may."""

from __future__ import annotations

from lakeflow_job_meta.local import jobs, permissions
from lakeflow_job_meta.local.call import Call, Refusal, invalid
from lakeflow_job_meta.local.runs.record import Run, TaskRun
from lakeflow_job_meta.local.state import MAX_ID


def run_named(call: Call, value: object, right: str) -> tuple[Run, TaskRun | None]:
    """The run that an id names, with the task run if it names one.

    Raises:
        Refusal: 400 where there is none, 403 where the caller may not.
    """
    run_id = jobs.id_in(value, "run_id")
    rows = call.runner.rows
    task = rows.task(run_id) if abs(run_id) <= MAX_ID else None
    run = rows.run(task.job_run_id if task else run_id, call.caller.workspace_id) if abs(run_id) <= MAX_ID else None
    if run is None:
        invalid(f"Run {run_id} does not exist.")
    if not may(call, run, right):
        message = f"User {call.caller.user} does not have {right} permissions on job {run.job_id}"
        raise Refusal(403, "PERMISSION_DENIED", message)
    return run, task


def may(call: Call, run: Run, right: str) -> bool:
    """Whether the caller has a right on a run: that on its job, or of a submitted one, having started it."""
    if run.kind != "JOB_RUN" or call.caller.admin:
        return call.caller.admin or run.creator == call.caller.user
    return permissions.may(call, f"jobs/{run.job_id}", jobs.RIGHTS[right])

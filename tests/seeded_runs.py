"""Runs that are over, written straight into an embedded workspace's file: thousands, without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lakeflow_job_meta.local.runs.dag import Outcome
from lakeflow_job_meta.local.runs.phases import RUNNING, ended
from lakeflow_job_meta.local.runs.record import Run, TaskRun
from lakeflow_job_meta.local.runs.rows import Rows
from lakeflow_job_meta.local.state import State, new_id


def seed_runs(
    home: Path, workspace: int, job_ids: Sequence[int], starts_ms: Sequence[int], *, tasks: int = 1,
    took_ms: int = 2_000, queue_ms: int = 0, going_on: bool = False,
) -> list[int]:  # fmt: skip
    """One run for each start, of these jobs in turn, oldest first.

    Args:
        home: The server's.
        workspace: The workspace's id.
        job_ids: Whose runs they are.
        starts_ms: When they started, epoch milliseconds, ascending: the server lists runs in the order they were made.
        tasks: Tasks a run.
        took_ms: How long each took, its wait in the queue (`queue_ms`) included.
        going_on: They haven't ended.

    Returns:
        Their ids.
    """
    state = State(home / "local" / "workspace.db")
    rows, ids = Rows(state), list[int]()
    with_end = {"phase": RUNNING if going_on else ended(Outcome.SUCCESS)}
    settings = {"tasks": [{"task_key": f"t{each}", "notebook_task": {"notebook_path": "/n"}} for each in range(tasks)]}
    state.run("PRAGMA synchronous=OFF")
    for number, start in enumerate(starts_ms):
        end = 0 if going_on else start + took_ms
        run = Run(
            new_id(), workspace, job_ids[number % len(job_ids)], "JOB_RUN", "seeded", "somebody", "PERIODIC", start,
            settings=settings, begun_ms=start + queue_ms, end_ms=end, **with_end,
        )  # fmt: skip
        rows.add(
            run,
            [
                TaskRun(
                    new_id(), run.run_id, task["task_key"], "notebook_task", task, start_ms=start, end_ms=end,
                    execution_ms=took_ms, **with_end,
                )
                for task in settings["tasks"]
            ],
        )  # fmt: skip
        ids.append(run.run_id)
    state.close()
    return ids


def end_run(home: Path, run_id: int, end_ms: int) -> None:
    """End a seeded run that went on."""
    from dataclasses import replace

    state = State(home / "local" / "workspace.db")
    rows = Rows(state)
    run = rows.run(run_id)
    assert run is not None
    for task in rows.tasks(run_id):
        rows.save_task(replace(task, phase=ended(Outcome.SUCCESS), end_ms=end_ms))
    rows.save(replace(run, phase=ended(Outcome.SUCCESS), end_ms=end_ms))
    state.close()

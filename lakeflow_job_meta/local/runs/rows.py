"""Runs and task runs as rows of the server's state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from lakeflow_job_meta.local.runs.record import Run, TaskRun, run_from, task_from, to_json
from lakeflow_job_meta.local.state import State


class Rows:
    """What is known of all runs."""

    def __init__(self, state: State) -> None:
        self.state = state

    def add(self, run: Run, tasks: Iterable[TaskRun]) -> None:
        """Add a run with its task runs, all or none."""
        with self.state.transaction():
            self.state.insert(
                "runs",
                {
                    "run_id": run.run_id, "workspace": run.workspace, "job_id": run.job_id, "kind": run.kind,
                    "token": run.token or None, "start_ms": run.start_ms, "active": int(not run.phase.ended),
                    "settings": json.dumps(run.settings, separators=(",", ":")), "record": to_json(run),
                },
            )  # fmt: skip
            self._add_tasks(tasks)

    def add_tasks(self, tasks: Iterable[TaskRun]) -> None:
        """Add task runs to a run, all or none."""
        with self.state.transaction():
            self._add_tasks(tasks)

    def _add_tasks(self, tasks: Iterable[TaskRun]) -> None:
        for task in tasks:
            row = {"run_id": task.run_id, "job_run_id": task.job_run_id, "parent": task.parent}
            self.state.insert("task_runs", {**row, "active": int(not task.phase.ended), "record": to_json(task)})

    def save(self, run: Run) -> None:
        """Keep a run as it is now, but for its settings."""
        self.state.run(
            "UPDATE runs SET active = ?, record = ? WHERE run_id = ?",
            int(not run.phase.ended), to_json(run), run.run_id,
        )  # fmt: skip

    def save_settings(self, run: Run) -> None:
        """Keep a run's settings, which a repair takes anew."""
        self.state.run("UPDATE runs SET settings = ? WHERE run_id = ?", json.dumps(run.settings), run.run_id)

    def save_task(self, task: TaskRun, output: Mapping[str, Any] | None = None) -> None:
        """Keep a task run as it is now, with its output where there is one."""
        self.state.run(
            "UPDATE task_runs SET active = ?, record = ?, output = coalesce(?, output) WHERE run_id = ?",
            int(not task.phase.ended), to_json(task), json.dumps(output) if output else None, task.run_id,
        )  # fmt: skip

    def run(self, run_id: int, workspace: int | None = None) -> Run | None:
        """A run, None if there is none or it was deleted; with a workspace, only one of its own."""
        row = self.state.one("SELECT * FROM runs WHERE run_id = ? AND NOT deleted", run_id)
        if row is None or workspace not in (None, row["workspace"]):
            return None
        return run_from(row["record"], row["settings"])

    def tasks(self, job_run_id: int) -> list[TaskRun]:
        """All task runs of a run in the order they were made, without the iterations of loops."""
        sql = "SELECT record FROM task_runs WHERE job_run_id = ? AND parent = 0 ORDER BY seq"
        return [task_from(row["record"]) for row in self.state.all(sql, job_run_id)]

    def iterations(self, parent: int) -> list[TaskRun]:
        """All task runs of a loop's iterations, in the order they were made."""
        sql = "SELECT record FROM task_runs WHERE parent = ? ORDER BY seq"
        return [task_from(row["record"]) for row in self.state.all(sql, parent)]

    def task(self, run_id: int) -> TaskRun | None:
        """One task run."""
        row = self.state.one("SELECT record FROM task_runs WHERE run_id = ?", run_id)
        return None if row is None else task_from(row["record"])

    def output(self, run_id: int) -> dict[str, Any]:
        """What a task run left: output, error, error_trace."""
        row = self.state.one("SELECT output FROM task_runs WHERE run_id = ?", run_id)
        return cast("dict[str, Any]", json.loads(row["output"])) if row and row["output"] else {}

    def of_token(self, workspace: int, token: str) -> tuple[int, bool] | None:
        """The run that was asked for with this token, and whether it was deleted since."""
        row = self.state.one("SELECT run_id, deleted FROM runs WHERE workspace = ? AND token = ?", workspace, token)
        return None if row is None else (int(row["run_id"]), bool(row["deleted"]))

    def active(self) -> list[Run]:
        """The runs that haven't ended, oldest first."""
        sql = "SELECT record, settings FROM runs WHERE active ORDER BY seq"
        return [run_from(row["record"], row["settings"]) for row in self.state.all(sql)]

    def active_of_job(self, job_id: int) -> list[Run]:
        """The runs of a job that haven't ended, oldest first."""
        return [run for run in self.active() if run.job_id == job_id]

    def active_tasks(self) -> list[TaskRun]:
        """The task runs that haven't ended."""
        sql = "SELECT record FROM task_runs WHERE active ORDER BY seq"
        return [task_from(row["record"]) for row in self.state.all(sql)]

    def last_of_job(self, job_id: int) -> Run | None:
        """The newest run of a job."""
        sql = "SELECT record, settings FROM runs WHERE job_id = ? AND kind = 'JOB_RUN' ORDER BY seq DESC LIMIT 1"
        row = self.state.one(sql, job_id)
        return None if row is None else run_from(row["record"], row["settings"])

    def delete(self, run_id: int) -> None:
        """Forget a run, but not its token."""
        with self.state.transaction():
            self.state.run("UPDATE runs SET deleted = 1, settings = '{}' WHERE run_id = ?", run_id)
            self.state.run("DELETE FROM task_runs WHERE job_run_id = ?", run_id)

    def ids(self) -> set[int]:
        """The runs that there are, those deleted too."""
        return {int(row["run_id"]) for row in self.state.all("SELECT run_id FROM runs")}

    def purge(self, start_ms: int, most: int) -> int:
        """Take away runs, so many at the most, that started before a moment and have ended, with their tokens, as if
        they had never been; says how many."""
        old = "SELECT run_id FROM runs WHERE seq IN (SELECT seq FROM runs WHERE start_ms < ?) AND NOT active LIMIT ?"
        run_ids = [int(row["run_id"]) for row in self.state.all(old, start_ms, most)]
        with self.state.transaction():
            for run_id in run_ids:
                self.state.run("DELETE FROM task_runs WHERE job_run_id = ?", run_id)
                self.state.run("DELETE FROM runs WHERE run_id = ?", run_id)
        return len(run_ids)

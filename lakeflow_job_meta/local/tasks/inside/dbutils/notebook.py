"""`dbutils.notebook`: end this one, or run another in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.workspace import beside
from lakeflow_job_meta.local.tasks.told import NESTED, read_told


class NotebookExit(BaseException):
    """`dbutils.notebook.exit`: no `except Exception` of the notebook's own may hold it up."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


class NotebookUtils:
    """`dbutils.notebook`.

    Args:
        assignment: the task's; path: of the notebook that is running.
    """

    def __init__(self, assignment: Assignment, path: str) -> None:
        self._assignment = assignment
        self._path = path
        self._numbers = count(1)

    def exit(self, value: Any) -> None:
        """End the notebook, in success, with a value that the run tells."""
        raise NotebookExit(str(value))

    def run(self, path: str, timeout_seconds: int, arguments: Mapping[str, Any] | None = None) -> str:
        """Run another notebook, with widgets of its own; its exit value, `None` as text where it had none.

        Args:
            path: absolute, or relative to this notebook; timeout_seconds: 0 for none; arguments: the widgets' values.

        Raises:
            NotebookRunFailed: it failed or took too long.
        """
        values = {name: str(value) for name, value in (arguments or {}).items()}
        folder = self._assignment.folder / f"{NESTED}{next(self._numbers)}"
        what = {"notebook_path": beside(path, self._path), "base_parameters": values}
        task = {**self._assignment.task, "notebook_task": what}
        replace(self._assignment, folder=folder, kind="notebook_task", task=task, parameters={}).write()
        # It stays in our group and has our mark: it ends with us.
        command = [sys.executable, "-P", "-m", "lakeflow_job_meta.local.tasks.inside", str(folder), "-1"]
        try:
            code = subprocess.run(command, cwd=folder / "work", timeout=timeout_seconds or None, check=False).returncode
        except subprocess.TimeoutExpired:
            message = f"the notebook {path} ran longer than its timeout of {timeout_seconds} seconds"
            raise NotebookRunFailed(message) from None
        told = read_told(folder)
        if code or told.error:
            raise NotebookRunFailed(f"the notebook {path} failed: {told.error or f'exit code {code}'}")
        return str(told.output.get("notebook_output", {}).get("result"))


class NotebookRunFailed(LakeflowJobMetaError):
    """A notebook that another one ran has failed."""

"""A Python file task: the file as `__main__`, in its folder, with the task's parameters."""

from __future__ import annotations

import posixpath
from pathlib import Path

from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.disk import in_volume, on_disk
from lakeflow_job_meta.local.tasks.inside.program import Program, run_program
from lakeflow_job_meta.local.tasks.inside.report import Report
from lakeflow_job_meta.local.tasks.inside.workspace import NOTEBOOK, Workspace


def run(assignment: Assignment, report: Report) -> int:
    """Run the file; returns the exit code.

    Raises:
        InputError: there is no such file; UsageError: it lies where it can't be read from here.
    """
    what = assignment.what
    if what.get("source") == "GIT":
        raise UsageError("python_file with source GIT can't be run here", hint="deploy the file to the workspace")
    if assignment.task.get("libraries"):
        from lakeflow_job_meta.local.tasks.inside.libraries import put_on_path

        put_on_path(assignment)
    path = _local_copy(assignment, str(what.get("python_file", "")))
    arguments = [str(path), *(str(each) for each in what.get("parameters") or ())]
    return run_program(Program(path.read_bytes(), str(path), arguments, path), assignment, report)


def _local_copy(assignment: Assignment, path: str) -> Path:
    if not path:
        raise InputError("spark_python_task.python_file is empty", hint="name the file that shall run")
    if in_volume(path) or path.startswith(("dbfs:", "file:")):
        found = on_disk(assignment.home, path)
        if not found.is_file():
            raise InputError(f"there is no file {path}")
        return found
    if "://" in path or not path.startswith("/"):
        raise InputError(
            f"python_file '{path}' can't be read here", hint="write a workspace path, /Volumes/… or file:/…"
        )
    workspace = Workspace(assignment.home, assignment.workspace_id)
    node = workspace.find(path)
    if node is None and Path(path).is_file():
        return Path(path)  # a file of this machine; only here, and that is what its author wants
    if node is None:
        raise InputError(f"there is no file {path} in the workspace", hint=workspace.near(path))
    if node.object_type == NOTEBOOK:
        raise InputError(f"{path} is a notebook, not a file", hint="run it by a notebook_task")
    workspace.copy_files(posixpath.dirname(node.path), assignment.work)
    copy = assignment.work / posixpath.basename(node.path)
    _ = copy.write_bytes(node.content)
    return copy

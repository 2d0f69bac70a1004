"""A notebook task: its cells, one after the other, in this process.

Not by nbclient: its kernel is one more process, spoken to over TCP; a notebook of one cell takes 0.8 s with it and
30 more packages, 0.1 s without.
"""

from __future__ import annotations

import posixpath
import sys
from typing import Any

from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.local.tasks.inside import cells
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.dbutils.notebook import NotebookExit
from lakeflow_job_meta.local.tasks.inside.notebook_session import NotebookSession, load
from lakeflow_job_meta.local.tasks.inside.notebook_source import Notebook
from lakeflow_job_meta.local.tasks.inside.report import Report, told_error
from lakeflow_job_meta.local.tasks.inside.workspace import Workspace

MOST_RESULT = 5 * 1024 * 1024
"""Characters of `dbutils.notebook.exit`'s value, as in Databricks."""


def run(assignment: Assignment, report: Report) -> int:
    """Run the notebook; returns the exit code.

    Raises:
        InputError: there is no such notebook, or there are cells that can't be run here: all of them are named.
    """
    notebook = _loaded(assignment)
    session = NotebookSession(assignment, report, notebook)
    stop_listening = session.listen()
    try:
        error, output = _run(session, notebook)
    finally:
        stop_listening()
        session.recording.save()
    report.end({"notebook_output": output}, error, session.rows_written())
    return 1 if error[0] else 0


def _loaded(assignment: Assignment) -> Notebook:
    path = str(assignment.what.get("notebook_path", ""))
    if assignment.what.get("source") == "GIT":
        raise UsageError("a notebook with source GIT can't be run here", hint="deploy it to the workspace")
    if assignment.task.get("libraries"):
        from lakeflow_job_meta.local.tasks.inside.libraries import put_on_path

        put_on_path(assignment)
    workspace = Workspace(assignment.home, assignment.workspace_id)
    notebook = load(workspace, path)
    if found := list(cells.findings(workspace, notebook)):
        raise InputError(f"{path} can't be run here:", diagnostics=found)
    if workspace.find(path) is not None:
        workspace.copy_files(posixpath.dirname(notebook.path), assignment.work)
    sys.path.insert(0, str(assignment.work))
    return notebook


def _run(session: NotebookSession, notebook: Notebook) -> tuple[tuple[str, str], dict[str, Any]]:
    """The error and its trace, and what the notebook gave."""
    for cell in notebook.cells:
        session.recording.begin(cell.number)
        try:
            cells.run(session, notebook, cell)
        except NotebookExit as problem:
            value = session.redactor(problem.value)
            return ("", ""), {"result": value[:MOST_RESULT], "truncated": len(value) > MOST_RESULT}
        except BaseException as problem:  # noqa: BLE001 (whatever a cell raised is the notebook's result)
            return _failed(session, problem, f"{notebook.path}, cell {cell.number}"), {}
        finally:
            session.recording.end()
    return ("", ""), {}


def _failed(session: NotebookSession, problem: BaseException, where: str) -> tuple[str, str]:
    line, trace = told_error(problem, session.assignment.memory_bytes)
    # A cell that isn't Python has no lines of its own in the trace.
    told = trace if where in trace else f"{where}: {trace or line}"
    error = session.redactor(line), session.redactor(told)
    session.recording.error(type(problem).__name__, *error)
    print(error[1], file=sys.__stderr__, flush=True)
    return error

"""What the cells of a running notebook share: names, widgets, the engine, and where their outputs go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.dbutils.fs import Files
from lakeflow_job_meta.local.tasks.inside.dbutils.jobs import Jobs, TaskValues
from lakeflow_job_meta.local.tasks.inside.dbutils.notebook import NotebookUtils
from lakeflow_job_meta.local.tasks.inside.dbutils.secrets import Secrets
from lakeflow_job_meta.local.tasks.inside.dbutils.utilities import Utilities
from lakeflow_job_meta.local.tasks.inside.dbutils.widgets import Widgets
from lakeflow_job_meta.local.tasks.inside.notebook_source import Notebook, parse
from lakeflow_job_meta.local.tasks.inside.python_cell import Python
from lakeflow_job_meta.local.tasks.inside.recording import Printed, Recording
from lakeflow_job_meta.local.tasks.inside.report import Report
from lakeflow_job_meta.local.tasks.inside.shown import bundle, displayed
from lakeflow_job_meta.local.tasks.inside.workspace import NOTEBOOK, Workspace
from lakeflow_job_meta.local.tasks.redactor import Redactor

EXECUTED = "notebook.ipynb"


@runtime_checkable
class Counting(Protocol):
    """An engine that counts the rows that it writes."""

    rows_written: int | None


class NotebookSession:
    """One notebook's run.

    Args:
        assignment: the task; report: where task values are told; notebook: what runs.
    """

    def __init__(self, assignment: Assignment, report: Report, notebook: Notebook) -> None:
        self.assignment = assignment
        self.workspace = Workspace(assignment.home, assignment.workspace_id)
        self.redactor = Redactor()
        self.recording = Recording(notebook, assignment.folder / EXECUTED, self.redactor)
        own: Mapping[str, Any] = assignment.what.get("base_parameters") or {}
        given = {**assignment.parameters, **{name: str(value) for name, value in own.items()}}
        self.utilities = Utilities(
            Widgets(given), NotebookUtils(assignment, notebook.path), Jobs(TaskValues(assignment.values, report)),
            Secrets(self.workspace, self.redactor, report), Files(assignment.home),
        )  # fmt: skip
        self._engine: Any = None
        # As a module, so that what the notebook defines can be pickled.
        main = ModuleType("__main__")
        sys.modules["__main__"] = main
        self.namespace: dict[str, Any] = main.__dict__
        self.python = Python(self.namespace)
        self.namespace |= {
            "dbutils": self.utilities, "display": self.display, "displayHTML": self.display_html,
            "getArgument": self.utilities.widgets.getArgument,
        }  # fmt: skip

    @property
    def spark(self) -> Any:
        """The engine; made when a cell first names it."""
        if self._engine is None:
            from lakeflow_job_meta.local.tasks.inside.engine import engine_of

            self._engine = engine_of(self.assignment)
        return self._engine

    def rows_written(self) -> int | None:
        """By the notebook's statements; None where nobody counted."""
        return self._engine.rows_written if isinstance(self._engine, Counting) else None

    def offer_spark(self) -> None:
        """Give the names by which notebooks reach Spark."""
        if "spark" not in self.namespace:
            self.namespace |= {"spark": self.spark, "sql": self.spark.sql, "table": self.spark.table}

    def display(self, value: Any = None, *_: Any, **__: Any) -> None:
        """Show a value; tables as tables."""
        self._show(displayed(value))

    def display_html(self, html: str) -> None:
        """Show HTML."""
        self._show({"text/html": html, "text/plain": html})

    def result(self, value: Any) -> None:
        """Show what a cell's last expression gave."""
        if value is not None:
            self.namespace["_"] = value
            self._show(bundle(value), result=True)

    def _show(self, data: dict[str, Any], *, result: bool = False) -> None:
        self.recording.show(data, result=result)
        print(self.redactor(data["text/plain"]), file=sys.__stdout__, flush=True)

    def listen(self) -> Callable[[], None]:
        """From now on what is printed is recorded; call what is returned to end that."""
        before = sys.stdout, sys.stderr
        sys.stdout = Printed("stdout", before[0], self.recording, self.redactor)
        sys.stderr = Printed("stderr", before[1], self.recording, self.redactor)

        def end() -> None:
            sys.stdout, sys.stderr = before

        return end


def load(workspace: Workspace, path: str) -> Notebook:
    """The notebook at a path of the workspace, or of this machine.

    Raises:
        InputError: there is none, or it isn't one that runs here.
    """
    node = workspace.find(path) if path.startswith("/") else None
    if node is None:
        from pathlib import Path

        local = Path(path.removeprefix("file:"))
        if local.is_absolute() and local.is_file():
            return parse(path, "", local.read_bytes())
        raise InputError(f"Notebook not found: {path}", hint=workspace.near(path) if path.startswith("/") else "")
    if node.object_type != NOTEBOOK and not node.path.endswith((".py", ".sql", ".ipynb")):
        raise InputError(f"{path} is a file, not a notebook")
    return parse(node.path, node.language, node.content)

"""How each kind of cell is run: a table of languages and magic commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.local.tasks.inside.dbutils.fs import Files
from lakeflow_job_meta.local.tasks.inside.notebook_session import NotebookSession, load
from lakeflow_job_meta.local.tasks.inside.notebook_source import MARKDOWN, PYTHON, SQL, Cell, Notebook
from lakeflow_job_meta.local.tasks.inside.python_cell import NOTHING, prepared
from lakeflow_job_meta.local.tasks.inside.workspace import Workspace, beside

Runner = Callable[[NotebookSession, Notebook, Cell], None]

REFUSED: Mapping[str, str] = {
    "pip": f"nothing is installed for a task: {sys.executable} -m pip install …, and take the cell out",
    "conda": f"nothing is installed for a task: {sys.executable} -m pip install …, and take the cell out",
    "scala": "cells in Python and SQL can be run",
    "r": "cells in Python and SQL can be run",
}
"""What can't be run here, and what to do instead."""
SPARK = re.compile(r"\b(spark|sql|table)\b")
ARGUMENT = re.compile(r"\$(?P<name>\w+)=(?P<value>\S+)")
SHELL_FAILS = "-e"


def run(session: NotebookSession, notebook: Notebook, cell: Cell) -> None:
    """Run one cell; what it raises is the notebook's error."""
    RUNNERS[cell.kind](session, notebook, cell)


def findings(workspace: Workspace, notebook: Notebook, seen: tuple[str, ...] = ()) -> Iterator[Diagnostic]:
    """What can't be run of a notebook, and of those that it runs by `%run`: known before its first cell has run."""
    for cell in notebook.cells:
        where = f"{notebook.path}, cell {cell.number}"
        if cell.kind in REFUSED:
            yield Diagnostic(f"{where}: %{cell.kind} can't be run here", hint=REFUSED[cell.kind])
        elif cell.kind not in RUNNERS:
            known = ", ".join(f"%{each}" for each in RUNNERS)
            yield Diagnostic(f"{where}: %{cell.kind} isn't known here", hint=f"known: {known}")
        elif cell.kind == PYTHON:
            try:
                _ = prepared(cell.text, where)
            except InputError as problem:
                yield Diagnostic(problem.message, hint=problem.hint)
        elif cell.kind == "run":
            yield from _of_another(workspace, notebook, cell, (*seen, notebook.path))


def _of_another(workspace: Workspace, notebook: Notebook, cell: Cell, seen: tuple[str, ...]) -> Iterator[Diagnostic]:
    where = f"{notebook.path}, cell {cell.number}"
    try:
        other = load(workspace, _called(notebook, cell)[0])
    except InputError as problem:
        yield Diagnostic(f"{where}: {problem.message}", hint=problem.hint)
        return
    if other.path in seen:
        yield Diagnostic(f"{where}: %run goes in a circle: {' → '.join([*seen, other.path])}")
    else:
        yield from findings(workspace, other, seen)


def _python(session: NotebookSession, notebook: Notebook, cell: Cell) -> None:
    where = f"{notebook.path}, cell {cell.number}"
    if SPARK.search(cell.text):
        session.offer_spark()
    value = session.python.run(prepared(cell.text, where), where)
    if value is not NOTHING:
        session.result(value)


def _sql(session: NotebookSession, notebook: Notebook, cell: Cell) -> None:
    del notebook
    from lakeflow_job_meta.store.sql.as_written import statements_of

    session.offer_spark()
    frame = None
    for each in statements_of(cell.text, session.utilities.widgets.getAll()):
        frame = session.spark.sql(each.text, args=dict(each.parameters))
    session.namespace["_sqldf"] = frame
    if frame is not None and frame.columns:
        session.display(frame)


def _markdown(session: NotebookSession, notebook: Notebook, cell: Cell) -> None:
    del session, notebook, cell  # text for people


def _run(session: NotebookSession, notebook: Notebook, cell: Cell) -> None:
    path, values = _called(notebook, cell)
    session.utilities.widgets.give(values)
    other = load(session.workspace, path)
    for each in other.cells:
        run(session, other, each)


def _shell(session: NotebookSession, notebook: Notebook, cell: Cell) -> None:
    del session, notebook
    strict = cell.argument == SHELL_FAILS
    text = cell.text if strict else f"{cell.argument}\n{cell.text}"
    done = subprocess.run(
        ["/bin/bash", *([SHELL_FAILS] if strict else []), "-c", text], stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    print(done.stdout, end="")
    if strict and done.returncode:
        raise InputError(f"%sh -e ended with exit code {done.returncode}")


def _files(session: NotebookSession, notebook: Notebook, cell: Cell) -> None:
    del notebook
    files = session.utilities.fs
    known = _verbs(files)
    verb, *arguments = shlex.split(cell.argument) or [""]
    if verb not in known:
        raise InputError(f"%fs {verb}: unknown", hint=f"known: {', '.join(known)}")
    recurse = {"recurse": True} if arguments[:1] == ["-r"] else {}
    found = known[verb](*arguments[1 if recurse else 0 :], **recurse)
    session.display([each._asdict() for each in files.ls(arguments[0])] if verb == "ls" else found)


def _verbs(files: Files) -> Mapping[str, Callable[..., object]]:
    return {"ls": files.ls, "head": files.head, "rm": files.rm, "cp": files.cp, "mv": files.mv, "mkdirs": files.mkdirs}


def _called(notebook: Notebook, cell: Cell) -> tuple[str, dict[str, str]]:
    """The path of the notebook that a `%run` names, and the widgets' values behind it."""
    words = shlex.split(cell.argument)
    if not words or cell.text.strip():
        raise InputError("%run names one notebook, alone in its cell", hint="%run ./other")
    values = {each["name"]: each["value"] for each in map(ARGUMENT.fullmatch, words[1:]) if each is not None}
    return beside(words[0], notebook.path), values


RUNNERS: Mapping[str, Runner] = {
    PYTHON: _python, SQL: _sql, MARKDOWN: _markdown, "run": _run, "sh": _shell, "fs": _files,
}  # fmt: skip

"""Notebooks as text: their cells, from Databricks' source format or from Jupyter's."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.local.tasks.inside.python_cell import HARMLESS

PYTHON, SQL, MARKDOWN = "python", "sql", "md"
COMMENTS = {PYTHON: "#", SQL: "--", "scala": "//", "r": "#"}
SUFFIXES = {".py": PYTHON, ".sql": SQL, ".scala": "scala", ".r": "r"}
RUNNABLE = (PYTHON, SQL)
MAGIC = re.compile(r"%(?P<name>[A-Za-z][\w-]*)[ \t]*(?P<rest>[^\n]*)\n?")
DATABRICKS = "application/vnd.databricks.v1+notebook"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Args:
        number: counted from 1, as people see it.
        kind: the language, or the name of the magic command that it begins with.
        text: what the cell holds, without that command; argument: what stood behind the command on its line.
    """

    number: int
    kind: str
    text: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook by its path, its language and its cells."""

    path: str
    language: str
    cells: tuple[Cell, ...]


def parse(path: str, language: str, content: bytes) -> Notebook:
    """The cells of a notebook.

    Args:
        path: where it lies; language: what the workspace says, may be empty; content: either format.

    Raises:
        InputError: it isn't a notebook, or one in a language that doesn't run here.

    >>> [cell.kind for cell in parse("/x", "PYTHON", b"1\\n# COMMAND ----------\\n# MAGIC %sql SELECT 1").cells]
    ['python', 'sql']
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} isn't a notebook: it isn't text") from problem
    if text.lstrip().startswith("{"):
        language, texts = _of_jupyter(path, text)
    else:
        language = language.lower() or SUFFIXES.get(PurePosixPath(path).suffix.lower(), PYTHON)
        texts = _of_source(text, COMMENTS.get(language, "#"))
    if language not in RUNNABLE:
        raise InputError(
            f"{path} is a notebook in {language}, which can't be run here", hint="notebooks in Python and SQL can"
        )
    cells = [_cell(number, language, each) for number, each in enumerate(texts, 1)]
    return Notebook(path, language, tuple(cells))


def _of_source(text: str, comment: str) -> list[str]:
    lines = text.split("\n")
    if re.fullmatch(rf"{comment} Databricks notebook source\s*", lines[0]):
        lines = lines[1:]
    separator = re.compile(rf"{comment} COMMAND -+\s*")
    title, magic = re.compile(rf"{comment} DBTITLE .*"), re.compile(rf"{comment} MAGIC ?")
    cells: list[list[str]] = [[]]
    for line in lines:
        if separator.fullmatch(line):
            cells.append([])
        elif not title.fullmatch(line):
            cells[-1].append(magic.sub("", line, count=1) if magic.match(line) else line)
    return ["\n".join(each).strip("\n") for each in cells]


def _of_jupyter(path: str, text: str) -> tuple[str, list[str]]:
    try:
        data: dict[str, Any] = json.loads(text)
        language = _language(data.get("metadata", {}))
        cells = [(str(each["cell_type"]), "".join(each["source"])) for each in data["cells"]]
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{path} isn't a notebook: {problem or type(problem).__name__}") from problem
    return language, [text if kind == "code" else f"%{MARKDOWN}\n{text}" for kind, text in cells]


def _language(metadata: dict[str, Any]) -> str:
    places = ((DATABRICKS, "language"), ("language_info", "name"), ("kernelspec", "language"))
    found = (metadata.get(outer, {}).get(inner) for outer, inner in places)
    return str(next((each for each in found if each), PYTHON)).lower()


def _cell(number: int, language: str, text: str) -> Cell:
    command = MAGIC.match(text.lstrip())
    if command is None or f"%{command['name']}" in HARMLESS or (language == SQL and command["name"] not in KNOWN):
        return Cell(number, language, text)
    rest = text.lstrip()[command.end() :]
    name = {"md-sandbox": MARKDOWN}.get(command["name"], command["name"])
    if name in ONE_LINE:
        return Cell(number, name, rest, command["rest"].strip())
    # What stands on the command's own line belongs to the cell; the newline keeps the numbers of the lines.
    return Cell(number, name, f"{command['rest']}\n{rest}" if rest else command["rest"])


ONE_LINE = frozenset(("run", "pip", "conda", "sh", "fs"))
"""Commands whose line is theirs: options or an argument."""
KNOWN = frozenset((*ONE_LINE, PYTHON, SQL, MARKDOWN, "md-sandbox", "scala", "r"))

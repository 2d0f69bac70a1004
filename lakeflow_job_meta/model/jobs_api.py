"""Names and JSON types of the Jobs API's settings, and a quick check of a value against them.

The names come from `jobs_api.json`, which `python -m tests.jobs_api_schema` writes anew from an installed
databricks-sdk (a test compares the two). Enumerated fields are plain strings here: the service adds values before
any client knows them, so an unknown one is never a finding; `choices` tells the known ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Path, nearest
from lakeflow_job_meta.model.masking import is_secret

SCALARS: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
WORDS = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false",
    "list": "a list", "map": "an object", "dict": "an object", "NoneType": "null",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a value: where in it, what is wrong, and a hint (may be empty)."""

    path: Path
    message: str
    hint: str = ""
    unknown: bool = False
    """Whether it is about a name that the API doesn't have; the service itself ignores such fields."""


@cache
def _schema() -> Mapping[str, Mapping[str, Any]]:
    text = files("lakeflow_job_meta.model").joinpath("jobs_api.json").read_text(encoding="utf-8")
    return cast("dict[str, dict[str, Any]]", json.loads(text))


def fields(type_name: str) -> Mapping[str, str]:
    """Field name to its type, as text: `str`, `int`, `float`, `bool`, `any`, `list[X]`, `map[X]`, or a type's name.

    Raises:
        KeyError: no such type.

    >>> fields("Task")["sql_task"], fields("JobSettings")["tasks"]
    ('SqlTask', 'list[Task]')
    """
    return cast("Mapping[str, str]", _schema()["types"][type_name])


def choices(type_name: str, field: str) -> tuple[str, ...]:
    """The known values of an enumerated field; empty for any other.

    >>> choices("CronSchedule", "pause_status")
    ('PAUSED', 'UNPAUSED')
    """
    return tuple(cast("list[str]", _schema()["enums"].get(f"{type_name}.{field}", ())))


def check(value: object, type_name: str) -> list[Problem]:
    """All that is wrong with a JSON value taken as this type: unknown names, wrong JSON types. Null counts as absent.

    Raises:
        KeyError: no such type.

    >>> [each.hint for each in check({"task_key": "a", "notebook_tusk": {}}, "Task")]
    ["did you mean 'notebook_task'?"]
    >>> check({"timeout_seconds": "60"}, "JobSettings")[0].message
    "expected a whole number, found the string '60'"
    """
    problems: list[Problem] = []
    _check(value, type_name, (), problems)
    return problems


def known(value: object, type_name: str) -> Any:
    """The value without the names that the API doesn't have, and without nulls, as the service stores it."""
    if type_name.startswith("list[") and isinstance(value, list):
        inner = type_name[5:-1]
        entries = cast("list[object]", value)
        return entries if inner in SCALARS else [known(each, inner) for each in entries]
    if type_name in _schema()["types"] and isinstance(value, dict):
        names = fields(type_name)
        return {
            key: each if names[key] in SCALARS else known(each, names[key])
            for key, each in cast("dict[str, object]", value).items()
            if each is not None and key in names
        }
    return value


def _check(value: object, kind: str, path: Path, problems: list[Problem]) -> None:
    scalar = SCALARS.get(kind)
    if scalar is not None:
        if not isinstance(value, scalar) or (isinstance(value, bool) and kind != "bool"):
            problems.append(_mismatch(value, kind, path))
    elif kind.startswith("list["):
        if not isinstance(value, list):
            problems.append(_mismatch(value, "list", path))
            return
        for position, each in enumerate(cast("list[object]", value)):
            _check(each, kind[5:-1], (*path, position), problems)
    elif kind.startswith("map["):
        _check_map(value, kind[4:-1], path, problems)
    elif kind != "any":
        _check_object(value, kind, path, problems)


def _check_object(value: object, kind: str, path: Path, problems: list[Problem]) -> None:
    names = fields(kind)
    if not isinstance(value, dict):
        problems.append(_mismatch(value, "dict", path))
        return
    for key, each in cast("dict[object, object]", value).items():
        expected = names.get(key) if isinstance(key, str) else None
        if expected is None:
            message = f"unknown field '{key}' in {kind}"
            problems.append(Problem((*path, str(key)), message, nearest(str(key), names), unknown=True))
        elif each is not None:
            # Most values are right; looking here saves a call for each of them.
            scalar = SCALARS.get(expected)
            if scalar is None or type(each) not in scalar:
                _check(each, expected, (*path, str(key)), problems)


def _check_map(value: object, inner: str, path: Path, problems: list[Problem]) -> None:
    if not isinstance(value, dict):
        problems.append(_mismatch(value, "map", path))
        return
    for key, each in cast("dict[object, object]", value).items():
        if not isinstance(key, str):
            problems.append(Problem((*path, str(key)), f"expected a string as key, found {_found(key)}"))
        _check(each, inner, (*path, str(key)), problems)


def _mismatch(value: object, kind: str, path: Path) -> Problem:
    if is_secret(".".join(str(each) for each in path)):
        return Problem(path, f"expected {WORDS[kind]}, found {WORDS.get(type(value).__name__, type(value).__name__)}")
    hint = f"write it in quotes: '{_plain(value)}'" if kind == "str" and isinstance(value, (bool, int, float)) else ""
    return Problem(path, f"expected {WORDS[kind]}, found {_found(value)}", hint)


def _found(value: object) -> str:
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:39] + "…"
        return f"the string '{shown}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return WORDS.get(type(value).__name__, type(value).__name__)


def _plain(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""Dynamic value references, `{{job.id}}` and the like: put in before a task begins.

The names are Databricks': https://docs.databricks.com/jobs/dynamic-value-references.html. What belongs to a known
namespace and doesn't exist is an error; all else in braces stays as it is written, as documented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from lakeflow_job_meta.diagnostics import nearest

REFERENCE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
PART = re.compile(r"`([^`]*)`|([^.`]+)")
Names = Mapping[str, Any]


class UnknownReference(ValueError):
    """References that nothing stands behind; the message names each."""


def resolved(value: Any, names: Names) -> Any:
    """The value, with each reference in it and below it replaced by its text.

    Args:
        value: JSON-shaped data.
        names: what can be referred to, nested by the parts of a path. A dict is a namespace, unless it is wrapped in
            `Value`; all else is a value, put in as text (booleans as true and false, lists and objects as JSON).

    Raises:
        UnknownReference: with every one that isn't there.

    >>> resolved({"a": ["run {{job.run_id}}", "{{else.where}}"]}, {"job": {"run_id": 7}})
    {'a': ['run 7', '{{else.where}}']}
    """
    problems: list[str] = []
    result = _resolved(value, names, problems)
    if problems:
        raise UnknownReference("; ".join(problems))
    return result


class Value(dict[str, Any]):
    """A value that is itself an object: can be put in whole, or asked for a part."""


def job_names(start_ms: int, **known: Any) -> dict[str, Any]:
    """The namespace `job`, with the parts of its start time (UTC)."""
    return {**known, "start_time": time_parts(start_ms)}


def time_parts(ms: int) -> dict[str, Any]:
    """The forms in which a moment can be asked for.

    >>> time_parts(1_700_000_000_123)["iso_datetime"]
    '2023-11-14T22:13:20'
    """
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return {
        "iso_date": at.date().isoformat(), "iso_datetime": at.replace(microsecond=0, tzinfo=None).isoformat(),
        "year": at.year, "month": at.month, "day": at.day, "hour": at.hour, "minute": at.minute, "second": at.second,
        "is_weekday": at.isoweekday() < 6, "iso_weekday": at.isoweekday(), "timestamp_ms": ms,
    }  # fmt: skip


def as_text(value: Any) -> str:
    """A value as a reference puts it in.

    >>> as_text(True), as_text([1, "a"]), as_text("a")
    ('true', '[1, "a"]', 'a')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _resolved(value: Any, names: Names, problems: list[str]) -> Any:
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: _replacement(match, names, problems), value) if "{{" in value else value
    if isinstance(value, list):
        return [_resolved(each, names, problems) for each in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        return {key: _resolved(each, names, problems) for key, each in cast("Mapping[str, Any]", value).items()}
    return value


def _replacement(match: re.Match[str], names: Names, problems: list[str]) -> str:
    parts = [part[1] if part[1] is not None else part[2] for part in PART.finditer(match[1])]
    if not parts or parts[0] not in names:
        return match[0]
    here: Any = names
    for depth, part in enumerate(parts):
        known = cast("Names", here) if isinstance(here, Mapping) else Value()
        if part not in known:
            hint = nearest(part, known)
            told = f" ({hint})" if hint else ""
            problems.append(f"{match[0]}: {'.'.join(parts[:depth])} has no '{part}'{told}")
            return match[0]
        here = known[part]
    if isinstance(here, Mapping) and not isinstance(here, Value):
        problems.append(f"{match[0]}: names a group of values, not one")
        return match[0]
    return as_text(here)

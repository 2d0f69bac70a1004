"""What the warehouse's driver fetched, as rows with the values that the embedded store has too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from lakeflow_job_meta.store.arrow import to_rows


def rows_of(cursor: Any) -> list[dict[str, Any]]:
    """The rows of the cursor's last statement by column name; none for a statement without a result."""
    rows = _by_columns(cursor) if _has_columns(cursor) else to_rows(cursor.fetchall_arrow())
    for name, kind, *_ in cursor.description or ():
        convert = _CONVERSIONS.get(kind)
        if convert is not None:
            for row in rows:
                row[name] = convert(row[name])
    return rows


def _has_columns(cursor: Any) -> bool:
    """Whether the result came by columns: where there is no pyarrow, or the server has no Arrow."""
    return hasattr(cursor.active_result_set.results, "column_table")


def _by_columns(cursor: Any) -> list[dict[str, Any]]:
    try:
        fetched = cursor.fetchall()
    except IndexError:
        return []  # Spark's own server declares a column for a statement without a result, and then sends none
    names = [each[0] for each in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in fetched]


def _moment(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _parts(value: Any) -> Any:
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _mapping(value: Any) -> Any:
    return dict(cast("list[tuple[Any, Any]]", value)) if isinstance(value, list) else _parts(value)


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "timestamp": _moment,
    "array": _parts,
    "map": _mapping,
    "struct": _parts,
}
"""By columns a timestamp has no zone (the session is in UTC), and what has parts is JSON. Arrow has a map as pairs."""

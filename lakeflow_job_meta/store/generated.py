"""Columns whose value follows from the row's other values: the day of a timestamp, which a table is partitioned by.

Delta's generated columns where the engine's SQL has them (delta-rs fills those of rows that are added, not of rows that
are changed); elsewhere a plain column, its expression kept as a table property, which the product fills.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, cast

from lakeflow_job_meta.errors import StoreError
from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.table import Row

GENERATED_PROPERTY = "lakeflow_job_meta.generated"
"""The table property that holds the expressions of columns that the product fills, as JSON by column."""

ENGINE_GENERATED_PROPERTY = "lakeflow_job_meta.engine_generated"
"""The same of columns that the engine generates: it keeps the expressions, but Spark tells them to nobody who asks."""

_DAY = re.compile(r"\s*CAST\(\s*`?(\w+)`?\s+AS\s+DATE\s*\)\s*", re.IGNORECASE)


def with_generated(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """The rows with the values of their generated columns.

    Raises:
        StoreError: a column that somebody else made, of an expression that we don't know.

    >>> at = Column("at", "TIMESTAMP")
    >>> day = Column("at_day", "DATE", generated="CAST(at AS DATE)")
    >>> with_generated([{"at": datetime(2024, 1, 31, 23, tzinfo=UTC)}], [at, day])[0]["at_day"]
    datetime.date(2024, 1, 31)
    """
    sources = {each.name: _source(each) for each in columns if each.generated is not None}
    if not sources:
        return list(rows)
    return [{**row, **{name: _day(row.get(source)) for name, source in sources.items()}} for row in rows]


def noted(columns: Sequence[Column]) -> dict[str, str]:
    """The property that tells which columns the engine of a table generates, for a table that has such columns."""
    expressions = {each.name: each.generated for each in columns if each.generated is not None}
    return {ENGINE_GENERATED_PROPERTY: json.dumps(expressions)} if expressions else {}


def source_of(column: Column, columns: Sequence[Column]) -> Column | None:
    """The column whose day this one is, if it is the day of one.

    >>> at = Column("at", "TIMESTAMP")
    >>> source_of(Column("at_day", "DATE", generated="CAST(at AS DATE)"), [at]) == at
    True
    """
    found = _DAY.fullmatch(column.generated or "")
    return next((each for each in columns if found and each.name.lower() == found[1].lower()), None)


def day_text(source: Column, value: str) -> str:
    """The day of a value of this column as an engine works it out, by UTC whatever its session's time zone is.

    >>> day_text(Column("at", "TIMESTAMP_NTZ"), "`at`")
    'CAST(`at` AS DATE)'
    """
    if source.type != "TIMESTAMP":
        return f"CAST({value} AS DATE)"
    return f"date_from_unix_date(CAST(floor(unix_seconds(CAST({value} AS TIMESTAMP)) / 86400) AS INT))"


def _source(column: Column) -> str:
    found = _DAY.fullmatch(column.generated or "")
    if found is None:
        raise StoreError(
            f"column {column.name} is generated as {column.generated}, which this store can't work out",
            hint="change rows of this table with the engine that made it",
        )
    return found[1]


def _day(value: Any) -> date | None:
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    return value


def generated_of(properties: Mapping[str, str], kept_as: str = GENERATED_PROPERTY) -> dict[str, str]:
    """The expressions that are kept as a table's property, by column.

    >>> generated_of({ENGINE_GENERATED_PROPERTY: '{"at_day": "CAST(at AS DATE)"}'}, ENGINE_GENERATED_PROPERTY)
    {'at_day': 'CAST(at AS DATE)'}
    """
    try:
        found: object = json.loads(properties.get(kept_as, "{}"))
    except json.JSONDecodeError:
        found = None
    kept = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return {name: str(text) for name, text in kept.items()}

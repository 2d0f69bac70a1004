"""The copies that making a table anew leaves behind: how they are named, and found again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from lakeflow_job_meta.model.table import TableName

_KEPT = re.compile(r"(.+)__kept_(\d{20})")


def kept_name(table: TableName, now: datetime) -> TableName:
    """What the old table is called from now on; `now` is aware, in UTC.

    >>> from datetime import UTC
    >>> str(kept_name(TableName("main", "tenants", "t"), datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)))
    'main.tenants.t__kept_20260102030405000006'
    """
    return replace(table, name=f"{table.name}__kept_{now:%Y%m%d%H%M%S%f}")


def is_kept(table: TableName) -> bool:
    """Whether this is such a copy."""
    return _KEPT.fullmatch(table.name) is not None


def kept_of(tables: Iterable[TableName]) -> list[TableName]:
    """Those of the tables that are copies."""
    return [each for each in tables if is_kept(each)]


def original(copy: TableName) -> TableName:
    """The table that this is a copy of.

    >>> str(original(TableName("main", "tenants", "t__kept_20260102030405000006")))
    'main.tenants.t'
    """
    found = _KEPT.fullmatch(copy.name)
    return replace(copy, name=found[1]) if found else copy


def newest_kept(table: TableName, tables: Iterable[TableName]) -> TableName | None:
    """The newest copy of a table; their names sort by their age."""
    return max((each for each in kept_of(tables) if original(each) == table), default=None)

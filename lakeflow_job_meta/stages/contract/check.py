"""Whether tables keep a contract: their schemas, then their rows. Pure, but for the reading of tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, counted
from lakeflow_job_meta.model.table import Row, TableInfo, TableName
from lakeflow_job_meta.stages.contract.model import ALWAYS, Contract, ContractColumn, ContractTable
from lakeflow_job_meta.stages.tables import POSITION, rows_of
from lakeflow_job_meta.store.base import Store

AT_MOST = 3
"""So many bad values of one kind are shown."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A table as it is: None where there is none."""

    name: TableName
    info: TableInfo | None
    rows: Sequence[Row]


def check_contract(
    contract: Contract, store: Store, catalog: str, now: datetime, versions: Mapping[str, int] | None = None
) -> list[Diagnostic]:
    """All the ways in which the tables of a catalog break a contract; none if they keep it.

    Args:
        contract: what is promised.
        store: where the tables are.
        catalog: their catalog.
        now: what ages are counted from.
        versions: read these versions, by the tables' full names; the newest of others.
    """
    found: list[Diagnostic] = []
    seen = {each.name: _look(store, catalog, each, versions or {}) for each in contract.tables}
    for table in contract.tables:
        found += _table(table, seen[table.name], now)
    for count, rows in contract.complete.items():
        found += _complete(count, seen[count.rpartition(".")[0]], seen[rows])
    return found


def _look(store: Store, catalog: str, table: ContractTable, versions: Mapping[str, int]) -> Seen:
    name = TableName.parse(f"{catalog}.{table.name}")
    info = store.info(name)
    rows = rows_of(store, name, version=versions.get(str(name))) if info else None
    return Seen(name, info, rows or ())


def _table(table: ContractTable, seen: Seen, now: datetime) -> list[Diagnostic]:
    if seen.info is None:
        if table.when != ALWAYS:
            return []
        return [Diagnostic("there is no such table", RowLocation(str(seen.name)), "run `ljm stage source`")]
    found = _schema(table, seen.info)
    present = {each.name for each in seen.info.columns}
    for column in table.columns:
        if column.name in present:
            found += _values(column, seen)
    for names in table.unique:
        if present.issuperset(names):
            found += _unique(names, seen)
    number = len(seen.rows)
    if table.least_rows is not None and number < table.least_rows:
        found.append(_at(seen, f"{counted(number, 'row')}, at least {table.least_rows} are promised"))
    if table.most_rows is not None and number > table.most_rows:
        found.append(_at(seen, f"{counted(number, 'row')}, at most {table.most_rows} are promised"))
    return found + _fresh(table, seen, now)


def _schema(table: ContractTable, info: TableInfo) -> list[Diagnostic]:
    """Types are exact; a column more is only told, since nobody who reads by name is hurt by it."""
    found: list[Diagnostic] = []
    here = {each.name.lower(): each for each in info.columns}
    for column in table.columns:
        there = here.get(column.name.lower())
        where = RowLocation(str(info.name), column=column.name)
        if there is None:
            found.append(Diagnostic(f"the column is missing, expected {column.type}", where))
        elif there.sql_type.upper() != column.type.upper():
            found.append(Diagnostic(f"the column is {there.sql_type}, expected {column.type}", where))
    known = {each.name.lower() for each in table.columns} | {POSITION}
    for name in here.keys() - known:
        where = RowLocation(str(info.name), column=name)
        found.append(Diagnostic("the contract doesn't know the column", where, severity=Severity.WARNING))
    return found


def _values(column: ContractColumn, seen: Seen) -> Iterable[Diagnostic]:
    values = [row[column.name] for row in seen.rows]
    nulls = sum(value is None for value in values)
    if column.required and nulls:
        yield _at(seen, f"required, and NULL in {counted(nulls, 'row')}", column.name)
    wrong = list(
        dict.fromkeys(problem for value in values if value is not None and (problem := _problem(value, column)))
    )
    for problem in wrong[:AT_MOST]:
        yield _at(seen, problem, column.name)
    if len(wrong) > AT_MOST:
        yield _at(seen, f"and {len(wrong) - AT_MOST} more bad values", column.name)


def _problem(value: Any, column: ContractColumn) -> str:
    """What is wrong with a value; empty where it keeps the contract."""
    if column.allowed and value not in column.allowed:
        return f"{value!r} isn't one of {', '.join(map(str, column.allowed))}"
    if column.least is not None and value < column.least:
        return f"{value!r} is less than {column.least:g}"
    if column.most is not None and value > column.most:
        return f"{value!r} is more than {column.most:g}"
    if column.pattern and not re.fullmatch(column.pattern, str(value)):
        return f"{value!r} isn't like {column.pattern}"
    if column.json and not _is_json(value):
        return "the text isn't JSON"
    return ""


def _is_json(value: Any) -> bool:
    try:
        json.loads(value)
    except (ValueError, TypeError):
        return False
    return True


def _unique(names: Sequence[str], seen: Seen) -> Iterable[Diagnostic]:
    keys = Counter(tuple(repr(row[name]) for name in names) for row in seen.rows)
    doubled = [key for key, number in keys.items() if number > 1]
    if doubled:
        shown = ", ".join(doubled[0])
        more = f" and {len(doubled) - 1} more" if len(doubled) > 1 else ""
        yield _at(seen, f"not unique: {shown}{more}", ", ".join(names))


def _fresh(table: ContractTable, seen: Seen, now: datetime) -> list[Diagnostic]:
    if table.freshness_hours is None or not seen.rows:
        return []
    moments = [row.get(table.freshness_column) for row in seen.rows]
    oldest = min((each for each in moments if isinstance(each, datetime)), default=None)
    if oldest is None:
        return []
    age = now - (oldest if oldest.tzinfo else oldest.replace(tzinfo=UTC))
    if age <= timedelta(hours=table.freshness_hours):
        return []
    hours = age.total_seconds() / 3600
    what = f"{hours:.1f} hours old, at most {table.freshness_hours:g} are promised"
    return [_at(seen, what, table.freshness_column, "run `ljm stage source`")]


def _complete(count: str, counting: Seen, counted_table: Seen) -> list[Diagnostic]:
    """A number in one table is that of another one's rows, if there is that other one."""
    column = count.rpartition(".")[2]
    if counted_table.info is None or not counting.rows:
        return []
    said, number = counting.rows[0].get(column), len(counted_table.rows)
    if said == number:
        return []
    return [_at(counting, f"{said}, but {counted_table.name} has {counted(number, 'row')}", column)]


def _at(seen: Seen, message: str, column: str = "", hint: str = "") -> Diagnostic:
    return Diagnostic(message, RowLocation(str(seen.name), column=column), hint)

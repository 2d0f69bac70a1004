"""What a load changes in one table: pure, so that a write that lost a race can be decided again on fresh rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lakeflow_job_meta.control.files import FileRecord, RowKey
from lakeflow_job_meta.ingest import json_text
from lakeflow_job_meta.ingest.declared import MODULE_COLUMNS, SOURCE_COLUMNS, DeclaredRow
from lakeflow_job_meta.ingest.report import ChangedRow
from lakeflow_job_meta.model.control import SOURCE_CONFIGS
from lakeflow_job_meta.model.table import Changes, Row, Snapshot

JSON_COLUMNS = frozenset({*SOURCE_CONFIGS, "job_config"})


@dataclass(frozen=True, slots=True)
class Policy:
    """How to treat rows that were edited in the table since a file wrote them.

    `settled` leaves a row alone whatever it holds as long as its declaration is the one that was loaded: the folder
    monitor looks at unchanged files again and again, and must not undo edits each time.
    """

    on_conflict: str = "overwrite"
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should become true of one table: rows as declared, and keys whose declaration is gone."""

    rows: Mapping[RowKey, DeclaredRow]
    gone: Collection[RowKey]
    records: Mapping[RowKey, FileRecord]
    """What each row is compared with: what its file last said of it, or, where it never did, any other file."""
    prints: Callable[[RowKey], str]
    """The fingerprint of a declared row."""


@dataclass(slots=True)
class Merge:
    """What was decided on one snapshot."""

    upserts: list[Row] = field(default_factory=list[Row])
    added: list[RowKey] = field(default_factory=list[RowKey])
    changed: list[ChangedRow] = field(default_factory=list[ChangedRow])
    unchanged: list[RowKey] = field(default_factory=list[RowKey])
    overwritten: list[ChangedRow] = field(default_factory=list[ChangedRow])
    kept: list[ChangedRow] = field(default_factory=list[ChangedRow])
    deactivated: list[RowKey] = field(default_factory=list[RowKey])
    released: list[RowKey] = field(default_factory=list[RowKey])
    after: dict[RowKey, str] = field(default_factory=dict[RowKey, str])
    """Fingerprints of released rows as they are now."""
    conflicts: list[ChangedRow] = field(default_factory=list[ChangedRow])
    doubled: list[RowKey] = field(default_factory=list[RowKey])

    @property
    def changes(self) -> Changes:
        return Changes(upserts=tuple(self.upserts))

    @property
    def held(self) -> set[RowKey]:
        """Keys that the table holds as their files declare them, once the changes are written."""
        return {*self.added, *self.unchanged, *(row.key for row in (*self.changed, *self.overwritten))}


def key_of(row: Row) -> RowKey:
    """The key of a row of either table."""
    return (str(row["module_name"] or ""), str(row.get("source_id") or ""))


def columns_of(key: RowKey) -> tuple[str, ...]:
    """The columns that a file can declare for this row."""
    return SOURCE_COLUMNS if key[1] else MODULE_COLUMNS


def differing(row: Row, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns in which a row differs from declared values; equal JSON, and NULL for active, are no difference."""
    return tuple(column for column, value in values.items() if not _equal(column, row.get(column), value))


def fingerprint(key: RowKey, values: Mapping[str, Any]) -> str:
    """SHA-256 of what a row says, the same for all spellings of it."""
    parts = [_normal(column, values.get(column)) for column in columns_of(key)]
    return hashlib.sha256(json_text.compact([*key, *parts]).encode()).hexdigest()


def merge(snapshot: Snapshot, wanted: Wanted, policy: Policy, now: datetime) -> Merge:
    """Decide what to write into one table."""
    result = Merge()
    rows: dict[RowKey, Row] = {}
    doubled: set[RowKey] = set()
    for row in snapshot.rows:
        key = key_of(row)
        if key in rows:
            doubled.add(key)
        rows[key] = row
    for key, declared in wanted.rows.items():
        if key in doubled:
            result.doubled.append(key)
        else:
            _declare(rows.get(key), declared, wanted, policy, now, result)
    for key in wanted.gone:
        if key in doubled:
            result.doubled.append(key)
        else:
            _let_go(key, rows.get(key), wanted.records[key], policy, now, result)
    return result


def _declare(
    row: Row | None, declared: DeclaredRow, wanted: Wanted, policy: Policy, now: datetime, result: Merge
) -> None:
    key, values = declared.key, declared.values
    record = wanted.records.get(key)
    columns = differing(row, values) if row is not None else ()
    if row is not None and not columns:
        result.unchanged.append(key)
        return
    if row is None and not declared.explicit:
        result.unchanged.append(key)
        return
    claimed = record is not None and not record.released
    difference = ChangedRow(key, columns, row.get("updated_timestamp") if row is not None else None)
    if policy.settled and record is not None and claimed and record.fingerprint == wanted.prints(key):
        result.kept.append(difference)
        return
    edited = claimed if row is None else record is None or record.fingerprint != fingerprint(key, row)
    if edited and policy.on_conflict != "overwrite":
        (result.kept if policy.on_conflict == "keep" else result.conflicts).append(difference)
        return
    if row is None:
        result.upserts.append(_new(key, values, now))
    else:
        result.upserts.append({**row, **values, "updated_timestamp": now})
    if edited:
        result.overwritten.append(difference)
    elif row is None:
        result.added.append(key)
    else:
        result.changed.append(ChangedRow(key, columns))


def _let_go(key: RowKey, row: Row | None, record: FileRecord, policy: Policy, now: datetime, result: Merge) -> None:
    """A declaration is gone: the row stays, without a task."""
    if row is None or row.get("is_active") is False:
        result.released.append(key)
        if row is not None:
            result.after[key] = fingerprint(key, row)
        return
    if policy.on_conflict != "overwrite" and record.fingerprint != fingerprint(key, row):
        difference = ChangedRow(key, ("is_active",), row.get("updated_timestamp"))
        (result.kept if policy.on_conflict == "keep" else result.conflicts).append(difference)
        return
    inactive = {**row, "is_active": False, "updated_timestamp": now}
    result.upserts.append(inactive)
    result.after[key] = fingerprint(key, inactive)
    result.deactivated.append(key)
    result.released.append(key)


def _new(key: RowKey, values: Mapping[str, Any], now: datetime) -> Row:
    names = {"source_id": key[1], "module_name": key[0]} if key[1] else {"module_name": key[0]}
    return {**names, **values, "created_timestamp": now, "updated_timestamp": now}


def _equal(column: str, one: Any, other: Any) -> bool:
    if column == "is_active":
        return (one is not False) == (other is not False)
    if column in JSON_COLUMNS:
        return json_text.same(one, other)
    return one == other


def _normal(column: str, value: Any) -> Any:
    if column == "is_active":
        return value is not False
    return json_text.normal(value) if column in JSON_COLUMNS else value

"""Which rows an action goes back to, who changed them and when: told by the tables' change feeds and histories.

Nothing is read unless rows caused something. What the tables don't tell (a RESTORE, a log that was cleaned up, what is
older than VERSIONS versions) stays untold: the plan is the same without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakeflow_job_meta.control.declared import Declared
from lakeflow_job_meta.control.mark import module_of
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.model.job import RecordedJob
from lakeflow_job_meta.model.plan import Action, Cause
from lakeflow_job_meta.model.table import Commit, Row, RowChange, TableSpec
from lakeflow_job_meta.store.base import Store

CONTROL, MODULES = "control", "modules"

VERSIONS = 500
"""So many versions are looked through at the most, the newest: each costs most of a millisecond."""

FEEDS = 3
"""So often is one feed read at the most. A feed is net: what a module's row did since the module was applied is only
right if it is read from there. Nearly always all modules were in line at one version, and it is read once."""

ONE_WRITE = 1
"""The version of a table that was made, and written once."""

NOT_ASKED = ("created_timestamp", "updated_timestamp")
"""Columns that ask for nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where to look. `recorded` is empty before the first apply; `rows` are the changes of both tables since all was in
    line, where they were read already."""

    store: Store
    tables: ControlTables
    declared: Declared
    recorded: Mapping[str, RecordedJob]
    tenure: Tenure
    rows: tuple[Sequence[RowChange], Sequence[RowChange]] | None = None


@dataclass(frozen=True, slots=True)
class _Table:
    """One of the two tables, as it was read."""

    kind: str
    spec: TableSpec
    table_id: str
    version: int


def with_causes(actions: tuple[Action, ...], frozen: Collection[str], evidence: Evidence) -> tuple[Action, ...]:
    """The actions with the rows that caused them.

    Args:
        actions: as planned.
        frozen: modules that bad rows hold up; those rows are told too.
        evidence: where to look.
    """
    caused = [action for action in actions if action.asked_by_rows or action.module in frozen]
    if not caused:
        return actions
    declared = evidence.declared
    tables = (
        _Table(CONTROL, evidence.tables.control, declared.control_id, declared.control_version),
        _Table(MODULES, evidence.tables.modules, declared.modules_id, declared.modules_version),
    )
    mark, found = _mark(evidence), {action.module: list[Cause]() for action in caused}
    for number, table in enumerate(tables):
        first = evidence.rows is None and not evidence.recorded
        if first and table.version <= ONE_WRITE:
            told = _as_read(table, caused, evidence)
        elif evidence.rows is not None:
            told = _told(table, _by_module(table, evidence.rows[number]), caused, evidence)
        else:
            since = dict.fromkeys(found, 0) if first else _since(table, caused, mark, evidence)
            told = _told(table, _read(table, since, evidence.store), caused, evidence)
        for module, causes in told.items():
            found[module] += causes
    return tuple(
        replace(action, causes=tuple(found[action.module])) if found.get(action.module) else action
        for action in actions
    )


def _as_read(table: _Table, caused: Sequence[Action], evidence: Evidence) -> dict[str, list[Cause]]:
    """Rows that came with the only write there was: the feed would tell no more, and is as long as the table."""
    with_row = {module.module_name for module in evidence.declared.modules}
    if table.kind == MODULES and not with_row:
        return {}
    commit = _commits(evidence.store, table, 1).get(table.version)
    when, who = (commit.timestamp, commit.user) if commit else (None, "")

    def added(source: str | None) -> Cause:
        return Cause(table.kind, source, "added", table.version, when, who)

    if table.kind == MODULES:
        return {action.module: [added(None)] for action in caused if action.module in with_row}
    return {action.module: [added(source) for source in action.sources] for action in caused}


def _told(
    table: _Table, changes: Mapping[str, Sequence[RowChange]], caused: Sequence[Action], evidence: Evidence
) -> dict[str, list[Cause]]:
    """The changes of those modules as causes, with who made them, the newest first."""
    asking = [
        (action.module, change)
        for action in caused
        for change in changes.get(action.module, ())
        if _asks_other(table, change)
    ]
    found: dict[str, list[Cause]] = {}
    if asking:
        oldest = min(change.version for _, change in asking)
        commits = _commits(evidence.store, table, table.version - oldest + 1)
        for module, change in sorted(asking, key=lambda each: (-each[1].version, str(each[1].key))):
            found.setdefault(module, []).append(_cause(table, change, commits.get(change.version)))
    return found


def _mark(evidence: Evidence) -> Mapping[str, Any]:
    """What was in line when the lease was let go, if nothing was applied since; empty otherwise, or if not needed."""
    needed = evidence.rows is None and evidence.recorded
    lease = evidence.tenure.current() if needed else None
    return lease.mark if lease is not None else {}


def _since(table: _Table, caused: Sequence[Action], mark: Mapping[str, Any], evidence: Evidence) -> dict[str, int]:
    """The version of the table at which each module was in line with its rows, as far as that is known."""
    if not mark:
        return _applied(table, caused, evidence)
    table_id, version = mark[table.kind]
    if not table_id:
        version = 0  # there was no such table yet
    elif table_id != table.table_id:
        return {}
    return dict.fromkeys((action.module for action in caused), version)


def _applied(table: _Table, caused: Sequence[Action], evidence: Evidence) -> dict[str, int]:
    """The version of the table that each module was last applied at; none where the state doesn't have it."""

    def applied(row: RecordedJob) -> int | None:
        return row.control_version if table.kind == CONTROL else row.modules_version

    latest = max((version for row in evidence.recorded.values() if (version := applied(row)) is not None), default=0)
    since: dict[str, int] = {}
    for action in caused:
        row = action.recorded
        # Rows of a module that never was applied are newer than what was applied last.
        version = latest if row is None or row.control_version is None else applied(row)
        if version is not None:
            since[action.module] = max(version, 0)  # -1 says that there was no such table
    return since


def _read(table: _Table, since: Mapping[str, int], store: Store) -> dict[str, list[RowChange]]:
    """What changed of each module after its own version."""
    starts = {module: max(start, table.version - VERSIONS) for module, start in since.items() if start < table.version}
    feeds = {
        start: _by_module(table, store.changes(table.spec, start) or ())
        for start in sorted(set(starts.values()))[:FEEDS]
    }
    return {
        module: [
            change
            for change in feeds[max(each for each in feeds if each <= start)].get(module, ())
            if start < change.version <= table.version
        ]
        for module, start in starts.items()
    }


def _by_module(table: _Table, changes: Iterable[RowChange]) -> dict[str, list[RowChange]]:
    found: dict[str, list[RowChange]] = {}
    for change in changes:
        found.setdefault(module_of(table.spec, change), []).append(change)
    return found


def _asks_other(table: _Table, change: RowChange) -> bool:
    names = [name for name in table.spec.column_names if name not in NOT_ASKED]

    def asked(row: Row | None) -> list[object] | None:
        return None if row is None else [row.get(name) for name in names]

    return asked(change.before) != asked(change.after)


def _cause(table: _Table, change: RowChange, commit: Commit | None) -> Cause:
    what = "added" if change.before is None else "removed" if change.after is None else "changed"
    source = str(change.key[table.spec.key.index("source_id")]) if table.kind == CONTROL else None
    when = commit.timestamp if commit else change.timestamp
    return Cause(table.kind, source, what, change.version, when, commit.user if commit else "")


def _commits(store: Store, table: _Table, limit: int) -> dict[int, Commit]:
    return {commit.version: commit for commit in store.history(table.spec.name, limit)}

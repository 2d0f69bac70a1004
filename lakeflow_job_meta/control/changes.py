"""What changed since a moment, told by timestamps, for people. The engine goes by versions and fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from lakeflow_job_meta.control.declared import Declared
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.control import Module, Source
from lakeflow_job_meta.model.table import RowChange
from lakeflow_job_meta.store.base import Store

SAME_MOMENT = timedelta(seconds=1)
"""A row whose two timestamps are that near was never updated: engines fill two defaults some milliseconds apart."""

ALL_HISTORY = 1_000_000


@dataclass(frozen=True, slots=True)
class Feed:
    """What the change feed tells after the check: net changes of sources by (module_name, source_id)."""

    since_check: Mapping[tuple[str, str], RowChange] = field(default_factory=dict[tuple[str, str], RowChange])


def parse_check(last_check: datetime | str | None) -> datetime | None:
    """A moment as an aware datetime; without a zone it is UTC.

    Raises:
        UsageError: not ISO 8601.

    >>> parse_check("2026-01-02 03:04:05").isoformat()
    '2026-01-02T03:04:05+00:00'
    """
    if isinstance(last_check, str):
        try:
            last_check = datetime.fromisoformat(last_check)
        except ValueError as error:
            raise UsageError(f"{last_check!r} is no ISO 8601 time", hint="e.g. 2026-01-02T03:04:05Z") from error
    if last_check is None or last_check.tzinfo is not None:
        return last_check
    return last_check.replace(tzinfo=UTC)


def read_feed(store: Store, tables: ControlTables, check: datetime | None) -> Feed:
    """The feed since the check, empty where it can't tell."""
    if check is None:
        return Feed()
    before = [commit for commit in store.history(tables.control.name, ALL_HISTORY) if commit.timestamp <= check]
    changes = store.changes(tables.control, max(commit.version for commit in before)) if before else None
    return Feed({_key(change): change for change in changes or ()})


def with_timestamps(store: Store, tables: ControlTables, declared: Declared) -> Declared:
    """NULL timestamps become the time of the row's last commit, as far as the feed tells; else they stay NULL."""
    if all(source.created_timestamp and source.updated_timestamp for source in declared.sources):
        return declared
    times = {_key(change): change.timestamp for change in store.changes(tables.control, 0) or ()}
    sources = tuple(
        replace(
            source,
            created_timestamp=source.created_timestamp or times.get(source.key),
            updated_timestamp=source.updated_timestamp or times.get(source.key),
        )
        for source in declared.sources
    )
    return replace(declared, sources=sources)


def detect(declared: Declared, feed: Feed, check: datetime | None) -> dict[str, list[object]]:
    """The changes by the guide's rules: which modules are new, updated, deactivated, and each changed source."""
    actions = {source.key: _action(source, feed, check) for source in declared.sources if _changed(source, check)}
    gone = {
        key: "deactivated"
        for key, change in feed.since_check.items()
        if change.after is None and change.before is not None and change.before.get("is_active") is not False
    }
    present = {source.key for source in declared.sources}
    actions |= {key: action for key, action in gone.items() if key not in present}
    modules = {module.module_name: module for module in declared.modules}
    touched = {module for module, _ in actions} | {name for name, row in modules.items() if _changed(row, check)}
    by_module: dict[str, list[Source]] = {}
    for source in declared.sources:
        by_module.setdefault(source.module_name, []).append(source)
    result: dict[str, list[object]] = {"new_modules": [], "updated_modules": [], "deactivated_modules": []}
    for name in sorted(touched):
        gone_here = any(module == name for module, _ in actions.keys() - present)
        kind = _module_kind(by_module.get(name, ()), modules.get(name), check, lost=gone_here)
        result[kind].append(name)
    result["changed_sources"] = [
        {"source_id": source_id, "module_name": module, "action": action}
        for (module, source_id), action in sorted(actions.items())
    ]
    return result


def _module_kind(sources: Sequence[Source], module: Module | None, check: datetime | None, *, lost: bool) -> str:
    rows: Iterable[Source | Module] = sources or ([module] if module else [])
    if not lost and all(_is_new(row, check) for row in rows):
        return "new_modules"
    inactive = module is not None and not module.active
    if inactive or not any(source.active for source in sources):
        return "deactivated_modules"
    return "updated_modules"


def _changed(row: Source | Module, check: datetime | None) -> bool:
    if check is None:
        return True
    return row.updated_timestamp is not None and _aware(row.updated_timestamp) > check


def _is_new(row: Source | Module, check: datetime | None) -> bool:
    created, updated = row.created_timestamp, row.updated_timestamp
    if created is None:
        return False
    if check is not None:
        return _aware(created) > check
    return updated is None or abs(_aware(updated) - _aware(created)) <= SAME_MOMENT


def _action(source: Source, feed: Feed, check: datetime | None) -> str:
    if _is_new(source, check):
        return "new"
    change = feed.since_check.get(source.key)
    if change is None or change.before is None:
        return "updated" if source.active else "deactivated"
    was_active = change.before.get("is_active") is not False
    if was_active == source.active:
        return "updated"
    return "reactivated" if source.active else "deactivated"


def _key(change: RowChange) -> tuple[str, str]:
    module, source_id = change.key
    return (module, source_id)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

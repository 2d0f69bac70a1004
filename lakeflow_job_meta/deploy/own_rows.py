"""The monitor's own rows in the tables: read, written, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.deploy.as_if import AsIf
from lakeflow_job_meta.errors import InputError, TableNotFound
from lakeflow_job_meta.ingest.merge import differing, key_of
from lakeflow_job_meta.model.control import MONITOR_MODULE, Module, Source
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.store.base import Store

WHERE: Mapping[str, Sequence[str]] = {"module_name": [MONITOR_MODULE]}


@dataclass(frozen=True, slots=True)
class OwnRows:
    """All rows of the monitor's module, as they are at one moment."""

    tables: ControlTables
    sources: tuple[Row, ...]
    modules: tuple[Row, ...]

    @classmethod
    def read(cls, store: Store, tables: ControlTables) -> OwnRows:
        """The rows as they are now; none where the tables don't exist."""
        return cls(tables, _rows(store, tables.control), _rows(store, tables.modules))

    def __bool__(self) -> bool:
        return bool(self.sources or self.modules)

    @property
    def asked(self) -> list[Source | Module]:
        """What they ask for, whenever it was written."""
        rows = [{**row, "created_timestamp": None, "updated_timestamp": None} for row in self.sources]
        modules = [{**row, "created_timestamp": None, "updated_timestamp": None} for row in self.modules]
        return [*map(Source.from_row, sorted(rows, key=key_of)), *map(Module.from_row, modules)]

    def without(self, store: Store) -> AsIf:
        """A store as if they weren't there."""
        return AsIf(store, MONITOR_MODULE, {self.tables.control.name: (), self.tables.modules.name: ()})

    def with_row(self, store: Store, source: Row, module: Row) -> AsIf:
        """A store as if these two were written."""
        others = [row for row in self.sources if key_of(row) != key_of(source)]
        rows = {self.tables.control.name: [*others, source], self.tables.modules.name: [module]}
        return AsIf(store, MONITOR_MODULE, rows)


def present(rows: Sequence[Row], key: tuple[str, str]) -> Row | None:
    """The row of this key, None where there is none.

    Raises:
        InputError: it is there twice.
    """
    found = [row for row in rows if key_of(row) == key]
    if len(found) > 1:
        raise InputError(f"the row {'/'.join(filter(None, key))} is there twice", hint="delete one of the two")
    return found[0] if found else None


def differs(row: Row | None, wanted: Row) -> bool:
    """Whether a row has to be written."""
    return row is None or bool(differing(row, wanted))


def write(store: Store, spec: TableSpec, wanted: Row, now: datetime) -> None:
    """Write one row, if it isn't so already."""

    def decide(snapshot: Snapshot) -> Changes:
        row = present(snapshot.rows, key_of(wanted))
        if not differs(row, wanted):
            return Changes()
        created: Mapping[str, Any] = row or {"created_timestamp": now}
        return Changes(({**created, **wanted, "updated_timestamp": now},))

    store.transact(spec, decide, where=WHERE)


def delete(store: Store, tables: ControlTables) -> None:
    """Delete all of them."""
    for spec in (tables.control, tables.modules):
        store.transact(spec, lambda snapshot: Changes(deletes=snapshot.rows), where=WHERE)


def _rows(store: Store, spec: TableSpec) -> tuple[Row, ...]:
    try:
        return store.read(spec.name, where=WHERE).rows
    except TableNotFound:
        return ()

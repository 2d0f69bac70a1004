"""A store as if a module's rows were others: to plan what isn't written yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.table import Changes, Commit, Row, RowChange, Snapshot, TableInfo, TableName, TableSpec
from lakeflow_job_meta.store.base import Store

MODULE = "module_name"


@dataclass(frozen=True, slots=True)
class AsIf:
    """Reads what another store has, but in these tables, for this module, these rows; writes nothing."""

    store: Store
    module: str
    rows: Mapping[TableName, Sequence[Row]]

    @property
    def label(self) -> str:
        return self.store.label

    def info(self, table: TableName) -> TableInfo | None:
        return self.store.info(table)

    def read(
        self,
        table: TableName,
        *,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[Any]] | None = None,
        version: int | None = None,
    ) -> Snapshot:
        if table not in self.rows:
            return self.store.read(table, columns=columns, where=where, version=version)
        # All columns: the module's name is needed.
        found = self.store.read(table, where=where, version=version)
        wanted = (row for row in self.rows[table] if all(row[name] in each for name, each in (where or {}).items()))
        return replace(found, rows=(*(row for row in found.rows if row[MODULE] != self.module), *wanted))

    def changes(self, spec: TableSpec, since: int) -> list[RowChange] | None:
        return self.store.changes(spec, since)

    def history(self, table: TableName, limit: int = 100) -> list[Commit]:
        return self.store.history(table, limit)

    def create(self, spec: TableSpec) -> bool:
        self._refuse()

    def transact(
        self,
        spec: TableSpec,
        decide: Callable[[Snapshot], Changes],
        *,
        where: Mapping[str, Sequence[Any]] | None = None,
    ) -> int | None:
        self._refuse()

    def append(self, spec: TableSpec, rows: Sequence[Row]) -> int:
        self._refuse()

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError("this store is only for planning")

"""The tables of one run, written one after the other; and taken back together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.table import Row, TableSpec
from lakeflow_job_meta.stages.activity import Activity
from lakeflow_job_meta.stages.contract.handoff import FAILED
from lakeflow_job_meta.stages.samples import SampleRows
from lakeflow_job_meta.stages.tables import Make, StageTables, overwrite, rows_of
from lakeflow_job_meta.store.base import TableStore


def given(rows: Sequence[Row]) -> Make:
    """Just these rows, whatever the table has."""
    return lambda present: rows


@dataclass
class Writer:
    """Writes tables one by one, and remembers what was in them."""

    store: TableStore
    tables: StageTables
    activity: Activity
    _before: list[tuple[TableSpec, tuple[Row, ...]]] = field(default_factory=list[tuple[TableSpec, tuple[Row, ...]]])

    def write(self, kind: str, make: Make) -> None:
        """Overwrite one of the documented tables."""
        self._overwrite(kind, self.tables.spec(kind), make)

    def write_sample(self, table: str, sample: SampleRows) -> None:
        """Overwrite a sample table; columns that it lacks are added first."""
        spec = self.tables.sample(table, sample.columns)
        info = self.store.info(spec.name)
        present = {each.name.lower() for each in info.columns} if info else set[str]()
        for column in spec.columns if info else ():
            if column.name.lower() not in present:
                self.store.sql(f"ALTER TABLE {spec.name} ADD COLUMN `{column.name}` {column.sql_type}")
        self._overwrite(table, spec, given(sample.rows))

    def _overwrite(self, kind: str, spec: TableSpec, make: Make) -> None:
        with self.activity.step(f"write {kind}") as step:
            began = time.monotonic()
            before = rows_of(self.store, spec.name) or ()
            self._before.append((spec, before))
            step.tables[str(spec.name)] = overwrite(self.store, spec, make)
            step.table_ms = round((time.monotonic() - began) * 1000)

    def note_others(self, kinds: Sequence[str]) -> None:
        """Name the tables that this run left as they are, with their versions: they are part of the batch."""
        last = self.activity.steps[-1]
        written = {name for step in self.activity.steps for name in step.tables}
        for kind in kinds:
            name = self.tables.name(kind)
            info = None if str(name) in written else self.store.info(name)
            if info is not None:
                last.tables[str(name)] = info.version

    def take_back(self) -> None:
        """Put back what was in the tables. Where that fails too, the next stage still reads the versions of the last
        complete batch."""
        with self.activity.step("take back") as step:
            for spec, before in reversed(self._before):
                try:
                    overwrite(self.store, spec, given(before))
                except LakeflowJobMetaError as error:
                    step.status, step.error = FAILED, f"{spec.name}: {error.message}"

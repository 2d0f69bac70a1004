"""load: rows of the data lake into a destination, in one transaction that also says how far it went.

A full load swaps all rows, an incremental one updates and adds those from the committed watermark on by primary key. So
who is killed has loaded nothing, and who loads a row twice has it once.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.bulk import Span
from lakeflow_job_meta.model.key_text import checked_key, lies_before
from lakeflow_job_meta.model.table import TableInfo
from lakeflow_job_meta.pipelines.drivers.base import Database, Loading, Mark, RemoteTable
from lakeflow_job_meta.pipelines.drivers.endpoint import label, opened
from lakeflow_job_meta.pipelines.registry import INCREMENTAL
from lakeflow_job_meta.pipelines.stages.lake import Key, existing, key_of, moved, span_of
from lakeflow_job_meta.pipelines.stages.sink import lake_table, misfits
from lakeflow_job_meta.pipelines.stages.stage import StageContext, StageOutcome
from lakeflow_job_meta.store.base import BulkStore, bulk


def load(context: StageContext) -> StageOutcome:
    """Move rows from the data lake into the destination; see StageFunction."""
    store = bulk(context.store)
    info = lake_table(context, store)
    with opened(context) as database:
        sink = existing(context, database)
        if found := misfits(context, info.columns, sink):
            raise InputError(f"{context.lake_table} can't be loaded into {label(context)}", diagnostics=found)
        key = key_of(context, {each.name: each.sql_type for each in info.columns})
        work = _Work(context, store, database, sink, info)
        if context.backfill is not None and key is not None:
            return work.backfill(span_of(context.backfill, key))
        if context.transfer.load_type == INCREMENTAL and key is not None:
            return work.incremental(key)
        return work.full(key)


@dataclass(frozen=True, slots=True)
class _Work:
    """One load of one version of the data lake's table, or a newer one."""

    context: StageContext
    store: BulkStore
    database: Database
    sink: RemoteTable
    info: TableInfo

    def full(self, key: Key | None) -> StageOutcome:
        """Everything, in the place of everything."""
        # What is written to the data lake meanwhile is loaded too, and once more by the next run: no row is missed.
        greatest = self.store.totals(self.context.lake_table, key.name if key else None).greatest
        with self.database.loading(self.sink) as loading:
            rows = self._stage(loading, None)
            loading.swap()
            loading.note(self._mark(key, greatest))
        return StageOutcome(rows, watermark=greatest)

    def incremental(self, key: Key) -> StageOutcome:
        """What lies above the watermark."""
        mark = self.database.mark(self.context.relation)
        border = self._border(key, mark)
        if mark is not None and border is not None and mark.lake_version == self.info.version:
            return StageOutcome(0, watermark=border)
        found = self.store.totals(self.context.lake_table, key.name)
        if found.nulls:
            raise InputError(
                f"{found.nulls} rows of {self.context.lake_table} have no {key.name}: they would never be loaded",
                hint="take another key, or load the table full",
            )
        if found.greatest is None:
            return StageOutcome(0, watermark=border)
        if border is not None and lies_before(found.greatest, border, key.type):
            raise InputError(
                f"the clock went backwards: the greatest {key.name} of {self.context.lake_table} is {found.greatest}, "
                f"but rows up to {border} were loaded already",
                hint="rows that came since can't be told from old ones: load it full once, or backfill that span",
            )
        span = Span(key.name, border, found.greatest, closed=True)
        with self.database.loading(self.sink) as loading:
            rows = self._stage(loading, span)
            loading.upsert(self.sink.key)
            loading.note(self._mark(key, found.greatest))
        return StageOutcome(rows, watermark=found.greatest)

    def _border(self, key: Key, mark: Mark | None) -> str | None:
        """The committed watermark; None where everything has to be loaded."""
        if mark is None or mark.watermark is None or mark.lake_table != str(self.context.lake_table):
            return None
        if mark.incremental_key != key.name:
            raise InputError(
                f"{label(self.context)} is loaded by {mark.incremental_key} up to {mark.watermark}; how far that is by "
                f"{key.name} isn't known",
                hint="load the table full once with the new key",
            )
        return checked_key(mark.watermark, key.type, f"the watermark of {label(self.context)}")

    def backfill(self, span: Span) -> StageOutcome:
        """A span once more; the watermark stays what it is."""
        with self.database.loading(self.sink) as loading:
            rows = self._stage(loading, span)
            loading.upsert(self.sink.key, span)
        mark = self.database.mark(self.context.relation)
        return StageOutcome(rows, watermark=mark.watermark if mark else None)

    def _stage(self, loading: Loading, span: Span | None) -> int:
        computed = {each.name for each in self.sink.columns if each.computed}
        columns = [each.name for each in self.info.columns if each.name not in computed]
        with self.store.stream(self.context.lake_table, columns, span=span) as rows:
            return moved(rows, lambda given: loading.stage(given, columns))

    def _mark(self, key: Key | None, watermark: str | None) -> Mark:
        lake, name = str(self.context.lake_table), key.name if key else None
        return Mark(lake, name, watermark, self.info.version, self.context.run_id)

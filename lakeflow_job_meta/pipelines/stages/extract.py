"""extract: rows of the source into the data lake. Every commit says how far the table is filled with it.

A full load replaces the table in one commit. An incremental one takes the rows from the committed watermark on, that
value included: rows with the same value may have come later. They replace those that are there, so a run that was
killed is just run again. The greatest key is read first, and everything as it was at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from arro3.core import RecordBatch, RecordBatchReader, Schema, Table

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.key_text import checked_key, key_text, lies_before
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.pipelines.drivers.base import Database, RemoteTable
from lakeflow_job_meta.pipelines.drivers.endpoint import label, opened
from lakeflow_job_meta.pipelines.registry import INCREMENTAL
from lakeflow_job_meta.pipelines.stages.lake import (
    KEY,
    WATERMARK,
    Key,
    existing,
    key_of,
    moved,
    note,
    prepared,
    span_of,
)
from lakeflow_job_meta.pipelines.stages.stage import StageContext, StageOutcome
from lakeflow_job_meta.store.arrow import to_rows
from lakeflow_job_meta.store.base import BulkStore, bulk

BATCH = 200_000
"""So many rows of an increment are merged as one commit: a merge holds them in memory."""


def extract(context: StageContext, batch: int = BATCH) -> StageOutcome:
    """Move rows from the source into the data lake; see StageFunction. `batch` is how many rows are merged at once."""
    store = bulk(context.store)
    with opened(context) as database:
        table = existing(context, database)
        key = key_of(context, table.types)
        notes = prepared(context, store, table)
        work = _Work(context, store, database, table, notes, batch)
        with database.reading():
            if context.backfill is not None and key is not None:
                return work.backfill(span_of(context.backfill, key), key)
            if context.transfer.load_type == INCREMENTAL and key is not None:
                return work.incremental(key)
            return work.full(key)


@dataclass(frozen=True, slots=True)
class _Work:
    """One extract, within one moment of the source."""

    context: StageContext
    store: BulkStore
    database: Database
    table: RemoteTable
    notes: tuple[str, ...]
    batch: int

    @property
    def lake(self) -> TableName:
        return self.context.lake_table

    def full(self, key: Key | None) -> StageOutcome:
        """Everything, in the place of everything."""
        found = self.database.totals(self.table, key.name if key else None)
        with self.database.stream(self.table) as rows:
            said = note(self.context, found.greatest, found.rows)
            count = moved(rows, lambda given: self.store.put(self.lake, given, said))
        return self._outcome(count, found.greatest)

    def incremental(self, key: Key) -> StageOutcome:
        """What lies above the watermark."""
        border = self._border(key)
        found = self._keyed(key)
        if found.greatest is None:
            return self._outcome(0, border)
        if border is not None and lies_before(found.greatest, border, key.type):
            raise InputError(
                f"the clock went backwards: the greatest {key.name} of {label(self.context)} is {found.greatest}, but "
                f"rows up to {border} were moved already",
                hint="rows that came since can't be told from old ones: load it full once, or backfill that span",
            )
        if border is None:
            return self.full(key)
        return self._outcome(self._increment(key, border, found.greatest), found.greatest)

    def _keyed(self, key: Key) -> Totals:
        """What there is, if each row has a key: one without, or with a text where a moment belongs, is in no span."""
        found = self.database.totals(self.table, key.name)
        if found.nulls:
            raise InputError(
                f"{found.nulls} rows of {label(self.context)} have no {key.name}: they would never be moved",
                hint="give them one, take another key, or load the table full",
            )
        return found

    def _border(self, key: Key) -> str | None:
        """The committed watermark; the greatest key that is there where the commit that said it is forgotten."""
        committed, by = self.store.noted(self.lake, WATERMARK), self.store.noted(self.lake, KEY)
        if committed is not None and by != key.name:
            raise InputError(
                f"{self.lake} is filled by {by} up to {committed}; how far that is by {key.name} isn't known",
                hint="load the table full once with the new key",
            )
        if committed is not None:
            return checked_key(committed, key.type, f"the watermark of {self.lake}")
        return self.store.totals(self.lake, key.name).greatest

    def _increment(self, key: Key, border: str, greatest: str) -> int:
        span = Span(key.name, border)
        if not self.table.key:
            return self._replace_span(span, greatest)
        with self.database.stream(self.table, span=span, ordered_by=key.name) as rows:
            return moved(rows, lambda given: self._merge_parts(given, key))

    def _replace_span(self, span: Span, greatest: str) -> int:
        """Without a primary key nothing but the span itself can be replaced."""
        if greatest == span.start:
            there, here = (
                self.database.totals(self.table, span.key, span),
                self.store.totals(self.lake, span.key, span=span),
            )
            if there.rows == here.rows:
                return 0
        said = note(self.context, greatest)
        with self.database.stream(self.table, span=span) as rows:
            return moved(rows, lambda given: self.store.put(self.lake, given, said, span=span))

    def _merge_parts(self, rows: ArrowStream, key: Key) -> None:
        """A commit for each part, which says how far it goes: what is done stays done."""
        for part in _parts(RecordBatchReader.from_stream(rows), self.batch):
            self.store.merge(self.lake, part, self.table.key, note(self.context, _last(part, key)))

    def backfill(self, span: Span, key: Key) -> StageOutcome:
        """A span once more; the watermark stays what it is."""
        _ = self._keyed(key)  # what is in no span would be taken for gone
        with self.database.stream(self.table, span=span) as rows:
            count = moved(rows, lambda given: self._put_span(given, span))
        return self._outcome(count, self.store.noted(self.lake, WATERMARK))

    def _put_span(self, rows: ArrowStream, span: Span) -> None:
        said = note(self.context, None)
        if self.table.key:
            self.store.merge(self.lake, rows, self.table.key, said, span=span)
        else:
            self.store.put(self.lake, rows, said, span=span)

    def _outcome(self, rows: int, watermark: str | None) -> StageOutcome:
        return StageOutcome(rows, (str(self.lake),), watermark, self.notes)


def _parts(rows: RecordBatchReader, size: int) -> Iterator[Table]:
    """The rows in tables of about so many."""
    schema: Schema = rows.schema
    waiting: list[RecordBatch] = []
    for batch in rows:
        for start in range(0, batch.num_rows, size):
            waiting.append(batch.slice(start, min(size, batch.num_rows - start)))
            if sum(each.num_rows for each in waiting) >= size:
                yield Table.from_batches(waiting, schema=schema)
                waiting = []
    if any(each.num_rows for each in waiting):
        yield Table.from_batches(waiting, schema=schema)


def _last(part: Table, key: Key) -> str | None:
    """The key of the last row; a driver may hand it over as a text, which the store casts."""
    value = to_rows(part.select([key.name]).slice(part.num_rows - 1, 1))[0][key.name]
    if isinstance(value, str):
        return checked_key(value, key.type, f"column {key.name}")
    return key_text(value.replace(tzinfo=None) if key.type == "TIMESTAMP_NTZ" else value)

"""verify: both ends hold the same rows, as far as the watermark goes: counts, sums of the key, keys that are missing.

Rows that one end lacks are an error. What a source that goes on working explains, rows that were changed or deleted
since, is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.bulk import Span, Totals
from lakeflow_job_meta.model.key_text import is_key_type
from lakeflow_job_meta.model.table import Column
from lakeflow_job_meta.pipelines.drivers.base import Database, RemoteTable
from lakeflow_job_meta.pipelines.drivers.endpoint import label, opened
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.lake import KEY, ROWS, WATERMARK, differences, existing
from lakeflow_job_meta.pipelines.stages.sink import lake_table, misfits
from lakeflow_job_meta.pipelines.stages.stage import StageContext, StageOutcome
from lakeflow_job_meta.store.base import BulkStore, bulk


@dataclass(frozen=True, slots=True)
class _Compared:
    """What both sides count: `origin` is where the rows come from, `copy` where they went.

    `settled` is whether they are to be equal: nothing can have come to the origin since that the copy may lack.
    """

    origin: Totals
    copy: Totals
    origin_label: str
    copy_label: str
    settled: bool

    def wrong(self) -> Iterator[str]:
        """What isn't as it should be."""
        if not self.settled:
            return
        missing = self.origin.rows - self.copy.rows
        if missing > 0:
            yield f"{missing} rows of {self.origin_label} are not in {self.copy_label}"
        elif missing == 0 and self.origin.total != self.copy.total:
            yield (
                f"the sums of the key differ: {self.origin.total} in {self.origin_label}, {self.copy.total} in "
                f"{self.copy_label}"
            )

    def notes(self) -> Iterator[str]:
        """What else there is to tell."""
        more = self.copy.rows - self.origin.rows
        if more > 0:
            yield f"{more} rows of {self.copy_label} are no longer so in {self.origin_label}: changed or deleted since"
        elif more < 0 and not self.settled:
            yield f"{-more} rows came to {self.origin_label} that {self.copy_label} doesn't have yet"
        if self.copy.nulls:
            yield f"{self.copy.nulls} rows of {self.copy_label} have no key"


def verify(context: StageContext) -> StageOutcome:
    """Compare both ends; see StageFunction.

    Raises:
        InputError: rows are missing.
    """
    store = bulk(context.store)
    with opened(context) as database, database.reading():
        table = existing(context, database)
        compared, drift = _SIDES[context.direction](context, store, database, table)
    if wrong := list(compared.wrong()):
        raise InputError("; ".join(wrong), hint="backfill the span that lacks them, or load the table full")
    return StageOutcome(compared.copy.rows, (str(context.lake_table),), notes=(*compared.notes(), *drift))


def _extracted(
    context: StageContext, store: BulkStore, database: Database, table: RemoteTable
) -> tuple[_Compared, list[str]]:
    lake = context.lake_table
    info = lake_table(context, store)
    watermark, key = store.noted(lake, WATERMARK), store.noted(lake, KEY)
    if key is not None and table.column(key) is None:
        key = watermark = None
    by = key or _own_key(table)
    span = Span(by, None, watermark, closed=True) if by and watermark else None
    copy, noted = store.totals(lake, by, span=span), store.noted(lake, ROWS)
    if noted is not None and key is None and int(noted) != copy.rows:
        raise InputError(
            f"the source had {noted} rows as {lake} was filled, and it has {copy.rows}",
            hint="somebody else wrote to it: load the table full",
        )
    drift = [each.message for each in differences(context, table, info.columns)]
    drift += [f"{label(context)} has a new column '{name}'" for name in table.names if name not in _names(info.columns)]
    origin = database.totals(table, by, span)
    return _Compared(origin, copy, label(context), str(lake), settled=span is not None), drift


def _loaded(
    context: StageContext, store: BulkStore, database: Database, table: RemoteTable
) -> tuple[_Compared, list[str]]:
    lake = context.lake_table
    info, mark = lake_table(context, store), database.mark(context.relation)
    if mark is None:
        raise InputError(f"{label(context)} was never loaded", hint="run its load first")
    key = mark.incremental_key or _own_key(table)
    if key not in _names(info.columns):
        key = None
    span = Span(key, None, mark.watermark, closed=True) if key and mark.watermark else None
    origin, copy = store.totals(lake, key, span=span), database.totals(table, key, span)
    drift = [each.message for each in misfits(context, info.columns, table)]
    return _Compared(origin, copy, str(lake), label(context), settled=mark.lake_version == info.version), drift


def _own_key(table: RemoteTable) -> str | None:
    """The primary key where it is one column that can be added up."""
    return table.key[0] if len(table.key) == 1 and is_key_type(table.types[table.key[0]]) else None


def _names(columns: Sequence[Column]) -> set[str]:
    return {each.name for each in columns}


_SIDES = {Direction.SOURCE_TO_DL: _extracted, Direction.DL_TO_SINK: _loaded}

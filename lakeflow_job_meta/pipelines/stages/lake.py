"""The Delta table between source and sink: made like the source's, grown with it; and what its commits say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from arro3.core import RecordBatch, RecordBatchReader

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, nearest
from lakeflow_job_meta.errors import DatabaseError, InputError
from lakeflow_job_meta.model.bulk import ArrowStream, Span
from lakeflow_job_meta.model.key_text import KEY_TYPES, checked_key, is_key_type, lies_before
from lakeflow_job_meta.model.table import Column, TableSpec
from lakeflow_job_meta.pipelines.drivers.base import Database, RemoteTable
from lakeflow_job_meta.pipelines.drivers.endpoint import label
from lakeflow_job_meta.pipelines.registry import INCREMENTAL
from lakeflow_job_meta.pipelines.stages.stage import Backfill, StageContext
from lakeflow_job_meta.store.base import BulkStore
from lakeflow_job_meta.store.feed import FEED
from lakeflow_job_meta.store.type_text import column_of_text

WATERMARK, KEY, RUN, ROWS = "lakeflow_watermark", "lakeflow_key", "lakeflow_run_id", "lakeflow_rows"
"""What a commit says: how far the table is filled, by which key, by which run, how many rows the source had for it."""

UNNAMEABLE = frozenset(" ,;{}()\n\t=")
"""What Parquet columns of a Delta table can't have in their names."""


def note(context: StageContext, watermark: str | None, rows: int | None = None) -> dict[str, str]:
    """What the commit of a stage says."""
    said = {RUN: str(context.run_id)}
    if watermark is not None:
        said |= {WATERMARK: watermark, KEY: str(context.transfer.incremental_key)}
    return said if rows is None else {**said, ROWS: str(rows)}


def existing(context: StageContext, database: Database) -> RemoteTable:
    """The table at the other end.

    Raises:
        InputError: there is none.
    """
    found = database.table(context.relation)
    if found is None:
        raise InputError(f"there is no table {label(context)}, or it isn't ours to see")
    return found


@dataclass(frozen=True, slots=True)
class Key:
    """The incremental key: a column's name, and its type in the data lake."""

    name: str
    type: str


def key_of(context: StageContext, types: Mapping[str, str]) -> Key | None:
    """The incremental key, where the row names one, and the load goes by it.

    Args:
        context: the stage.
        types: the columns that there are, with their types in the data lake.

    Raises:
        InputError: the load is incremental and there is no key, or it can't be one.
    """
    name, setting = context.transfer.incremental_key, f"{context.direction}_incremental_key"
    if not name:
        if context.transfer.load_type == INCREMENTAL or context.backfill is not None:
            raise InputError(
                f"{context.table.source_tablename}: {setting} is missing",
                hint="name the column by whose values new rows are told from old ones",
            )
        return None
    if name not in types:
        hint = nearest(name, types) or "known: " + ", ".join(types)
        raise InputError(f"{setting} is '{name}', which {label(context)} doesn't have", hint=hint)
    if not is_key_type(types[name]):
        raise InputError(
            f"{setting} is '{name}' of type {types[name]}, which isn't ordered alike everywhere",
            hint="a key is of one of the types " + ", ".join(KEY_TYPES),
        )
    return Key(name, types[name])


def span_of(backfill: Backfill, key: Key) -> Span:
    """The span that is moved again.

    Raises:
        InputError: its ends aren't values of the key, or there is nothing between them.
    """
    start, end = checked_key(backfill.start, key.type, "from"), checked_key(backfill.end, key.type, "to")
    if not lies_before(start, end, key.type):
        raise InputError(f"the span to backfill is empty: from {start} to {end}")
    return Span(key.name, start, end)


def columns_of(table: RemoteTable) -> tuple[Column, ...]:
    """The columns that the source's table has in the data lake."""
    return tuple(column_of_text(each.name, each.type, each.native) for each in table.columns)


def check_names(context: StageContext, table: RemoteTable) -> list[Diagnostic]:
    """Columns whose names the data lake can't have."""
    found: list[Diagnostic] = []
    seen: dict[str, str] = {}
    for each in table.names:
        place = RowLocation(label(context), column=each)
        if bad := UNNAMEABLE.intersection(each):
            shown = " ".join(repr(letter) for letter in sorted(bad))
            found.append(Diagnostic(f"a column of a Delta table can't have {shown} in its name", place, VIEW))
        if other := seen.get(each.lower()):
            found.append(Diagnostic(f"'{each}' and '{other}' are one name to Delta", place, VIEW))
        seen[each.lower()] = each
    return found


VIEW = "register a view that names it otherwise"


def differences(context: StageContext, table: RemoteTable, present: tuple[Column, ...]) -> list[Diagnostic]:
    """Columns of the data lake that the source no longer has so."""
    found: list[Diagnostic] = []
    hint = f"put it back, or DROP TABLE {context.lake_table} and let a full load make it anew"
    for each in present:
        place = RowLocation(str(context.lake_table), column=each.name)
        column = table.column(each.name)
        if column is None:
            found.append(Diagnostic(f"{label(context)} has no column '{each.name}' any more", place, hint))
        elif column.type.replace(" ", "") != each.sql_type.replace(" ", ""):
            found.append(
                Diagnostic(
                    f"'{each.name}' changed its type: it is {column.native} ({column.type}) in {label(context)}, and "
                    f"{each.sql_type} here",
                    place,
                    hint,
                )
            )
    return found


def prepared(context: StageContext, store: BulkStore, table: RemoteTable) -> tuple[str, ...]:
    """Make the table of the data lake, or add the columns that the source got meanwhile; says what was done.

    Raises:
        InputError: columns that went, or are of another type now; nothing is changed then.
    """
    wanted, name = columns_of(table), context.lake_table
    info = store.info(name)
    found = check_names(context, table) + (differences(context, table, info.columns) if info else [])
    if found:
        raise InputError(f"{label(context)} doesn't fit {name} in the data lake", diagnostics=found)
    if info is None:
        store.ensure_schema(name.catalog, name.schema)
        # A change feed would write most rows twice; what changed is asked by the key.
        spec = TableSpec(name, wanted, description=f"{label(context)}, as it is moved", properties={FEED: "false"})
        _ = store.create(spec)
        return (f"made {name}",)
    present = {each.name for each in info.columns}
    added = [each for each in wanted if each.name not in present]
    for each in added:
        _ = store.sql(f"ALTER TABLE {name} ADD COLUMN `{each.name.replace('`', '``')}` {each.sql_type}")
    return tuple(f"added column {each.name} {each.sql_type} to {name}" for each in added)


def moved(rows: ArrowStream, write: Callable[[ArrowStream], object]) -> int:
    """Give rows to `write`, and count them.

    Raises:
        DatabaseError: they stopped coming; through Arrow only the text of what stopped them passes.
    """
    counted = _Counted(rows)
    try:
        _ = write(counted)
    except Exception:  # arro3 raises just that where a part is read here, and not by the store
        if counted.failure is None:
            raise
        raise counted.failure from None
    return counted.rows


class _Counted:
    """A stream that counts what passes, and remembers what stopped it."""

    def __init__(self, rows: ArrowStream) -> None:
        self.rows = 0
        self.failure: DatabaseError | None = None
        self._source = RecordBatchReader.from_stream(rows)
        self._reader = RecordBatchReader.from_batches(self._source.schema, self._pass_on())

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._reader.__arrow_c_stream__(requested_schema)

    def _pass_on(self) -> Iterator[RecordBatch]:
        try:
            for batch in self._source:
                self.rows += batch.num_rows
                yield batch
        except Exception as problem:  # arro3 raises just that
            self.failure = DatabaseError(f"the rows can't be read to their end: {_plain(str(problem))}")
            raise


def _plain(text: str) -> str:
    """What a driver said, without the layers that it came through."""
    for layer in ("C Data interface error: ", "[libpq] ", "Execution error [PGRES_FATAL_ERROR]: ", "External error: "):
        text = text.replace(layer, "")
    return " ".join(text.partition("\nQuery was:")[0].split())

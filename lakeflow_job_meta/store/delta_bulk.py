"""Whole tables by Arrow streams, for the embedded store: delta-rs reads and writes, DuckDB casts.

Belongs here: what BulkStore promises. Rows pass in batches: no table is ever held in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import duckdb
from arro3.core import ChunkedArray, DataType, RecordBatch, RecordBatchReader, Schema, Table
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import DeltaError

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError, StoreError, TableNotFound
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.key_text import KEY_TYPES, is_key_type, key_text, plain_number
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store.arrow import conformed, to_rows
from lakeflow_job_meta.store.delta_schema import columns_of
from lakeflow_job_meta.store.delta_tables import OPERATION, DeltaTables

MEMORY = "128MB"
"""What DuckDB may take to cast one batch."""

Write = Callable[[DeltaTable, RecordBatchReader, CommitProperties], None]


def put(tables: DeltaTables, name: TableName, rows: ArrowStream, note: Mapping[str, str], span: Span | None) -> int:
    """See BulkStore.put."""

    def write(opened: DeltaTable, given: RecordBatchReader, properties: CommitProperties) -> None:
        predicate = _predicate(name, opened, span) if span else None
        write_deltalake(opened, given, mode="overwrite", predicate=predicate, commit_properties=properties)

    return _written(tables, name, rows, _properties("WRITE", note), write)


def merge(
    tables: DeltaTables,
    name: TableName,
    rows: ArrowStream,
    key: Sequence[str],
    note: Mapping[str, str],
    span: Span | None,
) -> int:
    """See BulkStore.merge."""

    def write(opened: DeltaTable, given: RecordBatchReader, properties: CommitProperties) -> None:
        same = " AND ".join(f"t.{_quoted(each)} = s.{_quoted(each)}" for each in key)
        others = [_quoted(each.name) for each in delta.arrow_schema(opened) if each.name not in key]
        # What is the same already isn't written again: where nothing differs there is no commit.
        differs = " OR ".join(f"(s.{each} IS DISTINCT FROM t.{each})" for each in others) or "false"
        merger = opened.merge(given, same, source_alias="s", target_alias="t", commit_properties=properties)
        merger = merger.when_matched_update_all(differs).when_not_matched_insert_all()
        if span:
            merger = merger.when_not_matched_by_source_delete(_predicate(name, opened, span, "t."))
        _ = merger.execute()

    return _written(tables, name, rows, _properties("MERGE", note), write)


def _properties(operation: str, note: Mapping[str, str]) -> CommitProperties:
    said = {"userName": delta.user(), OPERATION: operation, **note}
    # A stream can't be read again: who lost a race fails, and its next run begins anew.
    return CommitProperties(custom_metadata=said, max_commit_retries=0)


def _written(
    tables: DeltaTables, name: TableName, rows: ArrowStream, properties: CommitProperties, write: Write
) -> int:
    try:
        with tables.latest(name) as opened:
            casting = _Casting(name, columns_of(opened), delta.arrow_schema(opened))
            try:
                write(opened, casting.reader(rows), properties)
            except DeltaError as problem:
                if casting.failure is not None:
                    raise casting.failure from problem
                raise
            return opened.version()
    except delta.LostRace as problem:
        raise StoreError(
            f"{name}: somebody else wrote at the same time; nothing was written", hint="let one run at a time write it"
        ) from problem


class _Casting:
    """Batches, one by one, as the table's columns.

    What fails in the middle is remembered: through Arrow's C stream only its text arrives. That is also why DuckDB
    never reads the stream itself: it doesn't survive one that fails.
    """

    def __init__(self, name: TableName, columns: Sequence[Column], schema: Schema) -> None:
        # The module of the front door costs an import of sqlglot, which only who writes tables has to pay.
        from lakeflow_job_meta.store.sql.target import duckdb_type

        self.failure: Exception | None = None
        self._name, self._schema = name, schema
        self._kinds = {each.name: duckdb_type(name, each) for each in columns}
        self._session = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "enable_external_access": "false"})
        _ = self._session.execute("SET TimeZone='UTC'")

    def reader(self, rows: ArrowStream) -> RecordBatchReader:
        """The rows as a stream of the table's own schema.

        Raises:
            InputError: columns that the table doesn't have, or lacks.
        """
        source = RecordBatchReader.from_stream(rows)
        given = [each.name for each in source.schema]
        if set(given) != set(self._kinds):
            missing, unknown = sorted(set(self._kinds) - set(given)), sorted(set(given) - set(self._kinds))
            hint = nearest(unknown[0], self._kinds) if unknown else ""
            raise InputError(f"{self._name}: rows lack {missing} and have {unknown} beyond its columns", hint=hint)
        return RecordBatchReader.from_batches(self._schema, self._cast_all(source))

    def _cast_all(self, source: RecordBatchReader) -> Iterator[RecordBatch]:
        cast = [each.name for each in source.schema if not _same_type(each.type, self._schema.field(each.name).type)]
        try:
            for batch in source:
                table = Table.from_batches([batch])
                for name, column in self._cast(table, cast).items():
                    table = table.set_column(table.column_names.index(name), name, column)
                yield from conformed(table, self._schema).to_batches()
        except Exception as problem:  # whatever it is, delta-rs only passes on its text
            self.failure = _broken(self._name, problem)
            raise

    def _cast(self, table: Table, names: Sequence[str]) -> dict[str, ChunkedArray]:
        """These columns, cast by DuckDB."""
        if not names:
            return {}
        _ = self._session.register("given", table.select(list(names)))
        listed = ", ".join(f"CAST({_quoted(each)} AS {self._kinds[each]}) AS {_quoted(each)}" for each in names)
        try:
            found = Table.from_arrow(self._session.sql(f"SELECT {listed} FROM given"))  # noqa: S608 (quoted names)
        except Exception as problem:  # what DuckDB finds in the rows comes through Arrow, as just that
            if type(problem) is not Exception and not isinstance(problem, duckdb.Error):
                raise
            raise InputError(f"{self._name}: {_short(problem)}", hint=_MISFIT) from problem
        return {each: found.column(each) for each in names}


_MISFIT = "the column's type in the data lake can't hold that value"


def _same_type(one: DataType, other: DataType) -> bool:
    return not DataType.is_nested(one) and one == other


def _short(problem: Exception) -> str:
    """What DuckDB says, without its place in our own SQL."""
    text = str(problem).partition("Conversion Error: ")[2] or str(problem)
    return text.partition("\n")[0].strip()


def _broken(name: TableName, problem: Exception) -> Exception:
    """What stopped the rows: an error of ours, or what the stream's other end said, which Arrow passes on as text."""
    if isinstance(problem, LakeflowJobMetaError) or type(problem) is not Exception:
        return problem
    return StoreError(f"{name}: the rows can't be read to their end: {str(problem).partition(chr(10))[0]}")


@contextmanager
def stream(
    tables: DeltaTables, name: TableName, columns: Sequence[str], span: Span | None
) -> Generator[ArrowStream, None, None]:
    """See BulkStore.stream."""
    with tables.latest(name) as opened:
        known = [each.name for each in opened.schema().fields]
        for each in columns:
            if each not in known:
                raise StoreError(f"{name} has no column '{each}'", hint=nearest(each, known))
        yield opened.scan(columns=list(columns), predicate=_predicate(name, opened, span) if span else None)


def totals(tables: DeltaTables, name: TableName, key: str | None, span: Span | None) -> Totals:
    """See BulkStore.totals."""
    with tables.latest(name) as opened:
        if key is None:
            return Totals(opened.count())
        kind = _kind(name, opened, key)
        within = f" FILTER (WHERE {_predicate(name, opened, span)})" if span else ""
        quoted, number = _quoted(key), _AS_NUMBER[kind.partition("(")[0]].format(_quoted(key))
        asked = (
            f"count(*){within} AS n, count(*) FILTER (WHERE {quoted} IS NULL) AS missing, "
            f"sum({number}){within} AS total, max({quoted}){within} AS greatest"
        )
        found = QueryBuilder().register("t", opened).execute(f"SELECT {asked} FROM t")  # noqa: S608 (quoted names)
        row = to_rows(found)[0]
    return Totals(row["n"], row["missing"], plain_number(row["total"]), key_text(_naive(kind, row["greatest"])))


_WHOLE = "CAST({} AS DECIMAL(38, 0))"
_AS_NUMBER = {
    "SMALLINT": _WHOLE, "INT": _WHOLE, "BIGINT": _WHOLE, "DECIMAL": "{}",
    "DATE": "CAST(arrow_cast({}, 'Int32') AS DECIMAL(38, 0))",
    "TIMESTAMP": "CAST(arrow_cast({}, 'Int64') AS DECIMAL(38, 0))",
    "TIMESTAMP_NTZ": "CAST(arrow_cast({}, 'Int64') AS DECIMAL(38, 0))",
}  # fmt: skip
"""What is added up of a key, as DataFusion writes it; in decimals, since its integers overflow in silence."""


def noted(tables: DeltaTables, name: TableName, what: str) -> str | None:
    """See BulkStore.noted."""
    try:
        with tables.latest(name) as opened:
            history = opened.history()
    except TableNotFound:
        return None
    newest: int | None = None
    for entry in history:
        if newest is not None and int(entry["version"]) > newest:
            continue
        newest = None
        if entry.get("operation") == "RESTORE":
            newest = _restored(entry, history)
        elif what in entry:
            return str(entry[what])
    return None


def _restored(entry: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> int:
    """The version that a RESTORE went back to."""
    said = cast("Mapping[str, Any]", entry.get("operationParameters") or {})
    if said.get("version") not in (None, "null"):
        return int(said["version"])
    until = int(said.get("datetime") or 0)
    return max((int(each["version"]) for each in history if int(each["timestamp"]) <= until), default=-1)


def _predicate(name: TableName, opened: DeltaTable, span: Span, prefix: str = "") -> str:
    kind = _kind(name, opened, span.key)
    found = [f"{prefix}{_quoted(span.key)} {operator} {_literal(kind, text)}" for operator, text in span.bounds]
    return " AND ".join(found)


def _kind(name: TableName, opened: DeltaTable, key: str) -> str:
    kinds = {each.name: each.sql_type for each in columns_of(opened)}
    if key not in kinds:
        raise StoreError(f"{name} has no column '{key}'", hint=nearest(key, kinds))
    if not is_key_type(kinds[key]):
        raise InputError(f"{name}: {key} is {kinds[key]}, which no key can be", hint="known: " + ", ".join(KEY_TYPES))
    return kinds[key]


_MICROSECONDS = {"TIMESTAMP": 'Timestamp(Microsecond, Some("UTC"))', "TIMESTAMP_NTZ": "Timestamp(Microsecond, None)"}


def _literal(kind: str, text: str) -> str:
    quoted = "'" + text.replace("'", "''") + "'"
    # A plain cast to TIMESTAMP is one to nanoseconds, which doesn't compare with a column of Delta's.
    return f"arrow_cast({quoted}, '{_MICROSECONDS[kind]}')" if kind in _MICROSECONDS else f"CAST({quoted} AS {kind})"


def _naive(kind: str, value: Any) -> Any:
    """A moment without a zone stays one: rows in Python are always in UTC."""
    return value.replace(tzinfo=None) if kind == "TIMESTAMP_NTZ" and value is not None else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

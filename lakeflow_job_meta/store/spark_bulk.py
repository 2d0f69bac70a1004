"""Whole tables by Arrow streams, on a Spark session.

Rows come to the driver in batches, which Spark appends to a table beside the one that is written; a single commit of
its own takes them from there. What is said of it is the commit's userMetadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from arro3.core import DataType, Field, RecordBatch, RecordBatchReader, Schema

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError, SqlError, StoreError, TableNotFound, UsageError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.key_text import KEY_TYPES, is_key_type, key_text, plain_number
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.store.arrow import to_table
from lakeflow_job_meta.store.table_statements import full_name, quoted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STAGE = "__lakeflow_stage"
BATCH = 100_000
"""So many rows are given to Spark, or taken from it, at once."""

STRICT = {"spark.sql.ansi.enabled": "true"}
"""A value that can't be cast is an error, not NULL."""
USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"

_AS_NUMBER = {
    "DATE": "CAST(unix_date({}) AS DECIMAL(38, 0))",
    "TIMESTAMP": "CAST(unix_micros({}) AS DECIMAL(38, 0))",
    # As a moment in UTC, whatever the session's zone is.
    "TIMESTAMP_NTZ": "CAST(unix_micros(CAST(concat(CAST({} AS STRING), '+00:00') AS TIMESTAMP)) AS DECIMAL(38, 0))",
}
_ARROW = {
    "STRING": DataType.string(), "SMALLINT": DataType.int16(), "INT": DataType.int32(), "BIGINT": DataType.int64(),
    "FLOAT": DataType.float32(), "DOUBLE": DataType.float64(), "BOOLEAN": DataType.bool(), "BINARY": DataType.binary(),
    "DATE": DataType.date32(), "TIMESTAMP": DataType.timestamp("us", tz="UTC"),
    "TIMESTAMP_NTZ": DataType.timestamp("us"),
}  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")


@dataclass(frozen=True, slots=True)
class SparkBulk:
    """What BulkStore promises, on a session.

    Args:
        session: where it happens.
        run: runs a statement of ours with named parameters.
        columns: a table's columns.
        taken: gives all rows of a query bit by bit, as dicts of Python's values.
    """

    session: SparkSession
    run: Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]
    columns: Callable[[TableName], Sequence[Column]]
    taken: Callable[[str, Mapping[str, Any]], Iterator[dict[str, Any]]]

    def put(self, table: TableName, rows: ArrowStream, note: Mapping[str, str], span: Span | None) -> None:
        """See BulkStore.put."""
        names = [each.name for each in self.columns(table)]
        listed = ", ".join(quoted(each) for each in names)
        with self._staged(table, rows) as stage, self._set({USER_METADATA: json.dumps(dict(note))}):
            if span:
                where, given = self._condition(table, span)
                text = f"INSERT INTO {full_name(table)} REPLACE WHERE {where} SELECT {listed} FROM {stage}"  # noqa: S608
                _ = self.run(text, given)
            else:
                _ = self.run(f"INSERT OVERWRITE {full_name(table)} SELECT {listed} FROM {stage}", {})  # noqa: S608 (quoted)

    def merge(
        self, table: TableName, rows: ArrowStream, key: Sequence[str], note: Mapping[str, str], span: Span | None
    ) -> None:
        """See BulkStore.merge."""
        names = [each.name for each in self.columns(table)]
        same = " AND ".join(f"t.{quoted(each)} = s.{quoted(each)}" for each in key)
        others = [quoted(each) for each in names if each not in key]
        text, given = "", dict[str, Any]()
        if others:
            differs = " OR ".join(f"NOT (t.{each} <=> s.{each})" for each in others)
            text += f" WHEN MATCHED AND ({differs}) THEN UPDATE SET *"
        text += " WHEN NOT MATCHED THEN INSERT *"
        if span:
            where, given = self._condition(table, span, "t.")
            text += f" WHEN NOT MATCHED BY SOURCE AND {where} THEN DELETE"
        with self._staged(table, rows) as stage, self._set({USER_METADATA: json.dumps(dict(note))}):
            _ = self.run(f"MERGE INTO {full_name(table)} AS t USING {stage} AS s ON {same}{text}", given)

    @contextmanager
    def _staged(self, table: TableName, rows: ArrowStream) -> Generator[str, None, None]:
        """The rows as a table of their own, with the target's types; it is gone afterwards."""
        try:
            import pyarrow
        except ImportError as problem:
            raise UsageError("to move tables by Spark takes pyarrow", hint="pip install pyarrow") from problem
        stage = full_name(TableName(table.catalog, table.schema, f"{table.name}{STAGE}"))
        columns = self.columns(table)
        listed = ", ".join(f"CAST({quoted(each.name)} AS {each.sql_type}) AS {quoted(each.name)}" for each in columns)
        declared = ", ".join(f"{quoted(each.name)} {each.sql_type}" for each in columns)
        _ = self.run(f"DROP TABLE IF EXISTS {stage}", {})
        _ = self.run(f"CREATE TABLE {stage} ({declared}) USING DELTA", {})
        view = f"lakeflow_given_{table.name}"
        try:
            with self._set(STRICT):
                for batch in _batches(rows):
                    self._give(pyarrow.table(batch), view)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] (untyped)
                    _ = self.run(f"INSERT INTO {stage} SELECT {listed} FROM {quoted(view)}", {})  # noqa: S608 (quoted)
            yield stage
        finally:
            _ = self.session.catalog.dropTempView(view)
            with suppress(LakeflowJobMetaError):
                _ = self.run(f"DROP TABLE IF EXISTS {stage}", {})

    def _give(self, rows: Any, view: str) -> None:
        self.session.createDataFrame(rows).createOrReplaceTempView(view)  # pyright: ignore[reportUnknownMemberType] (partly untyped)

    @contextmanager
    def _set(self, settings: Mapping[str, str]) -> Generator[None, None, None]:
        """The session with these settings: it is somebody else's, and gets its own back."""
        before = {name: self.session.conf.get(name, None) for name in settings}
        for name, value in settings.items():
            self.session.conf.set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    self.session.conf.unset(name)
                else:
                    self.session.conf.set(name, value)

    @contextmanager
    def stream(self, table: TableName, columns: Sequence[str], span: Span | None) -> Generator[ArrowStream, None, None]:
        """See BulkStore.stream."""
        known = {each.name: each for each in self.columns(table)}
        for each in columns:
            if each not in known:
                raise StoreError(f"{table} has no column '{each}'", hint=nearest(each, known))
        schema = Schema([Field(each, _arrow_type(known[each].sql_type), nullable=True) for each in columns])
        where, given = self._condition(table, span) if span else ("true", dict[str, Any]())
        listed = ", ".join(quoted(each) for each in columns)
        rows = self.taken(f"SELECT {listed} FROM {full_name(table)} WHERE {where}", given)  # noqa: S608 (quoted)
        yield RecordBatchReader.from_batches(schema, _parts(rows, schema))

    def totals(self, table: TableName, key: str | None, span: Span | None) -> Totals:
        """See BulkStore.totals."""
        if key is None:
            return Totals(self.run(f"SELECT count(*) AS n FROM {full_name(table)}", {})[0]["n"])  # noqa: S608 (quoted)
        kind = self._kind(table, key)
        where, given = self._condition(table, span) if span else ("true", dict[str, Any]())
        within = f"FILTER (WHERE {where})"
        number = _AS_NUMBER.get(kind, "CAST({} AS DECIMAL(38, 0))" if "(" not in kind else "{}").format(quoted(key))
        row = self.run(
            f"SELECT count(*) {within} AS n, count_if({quoted(key)} IS NULL) AS missing, "  # noqa: S608 (quoted)
            f"sum({number}) {within} AS total, max({quoted(key)}) {within} AS greatest FROM {full_name(table)}",
            given,
        )[0]
        greatest = key_text(row["greatest"])
        return Totals(row["n"], row["missing"], plain_number(row["total"]), greatest)

    def noted(self, table: TableName, name: str) -> str | None:
        """See BulkStore.noted."""
        try:
            history = self.run(f"DESCRIBE HISTORY {full_name(table)}", {})
        except (TableNotFound, SqlError):
            return None
        newest: int | None = None
        for entry in history:
            if newest is not None and int(entry["version"]) > newest:
                continue
            newest = None
            if entry["operation"] == "RESTORE" and entry["operationParameters"].get("version"):
                newest = int(entry["operationParameters"]["version"])
            elif (said := _said(entry.get("userMetadata"))) and name in said:
                return str(said[name])
        return None

    def _kind(self, table: TableName, key: str) -> str:
        kinds = {each.name: each.sql_type for each in self.columns(table)}
        if key not in kinds:
            raise StoreError(f"{table} has no column '{key}'", hint=nearest(key, kinds))
        if not is_key_type(kinds[key]):
            raise InputError(f"{table}: {key} is {kinds[key]}, which no key can be", hint=", ".join(KEY_TYPES))
        return kinds[key]

    def _condition(self, table: TableName, span: Span, prefix: str = "") -> tuple[str, dict[str, Any]]:
        """The condition of a span, and its parameters."""
        kind = self._kind(table, span.key)
        bounds = list(enumerate(span.bounds))
        texts = [
            f"{prefix}{quoted(span.key)} {operator} CAST(:bound{place} AS {kind})" for place, (operator, _) in bounds
        ]
        return " AND ".join(texts), {f"bound{place}": text for place, (_, text) in bounds}


def _said(text: object) -> Mapping[str, Any]:
    if not isinstance(text, str):
        return {}
    with suppress(ValueError):
        said: Any = json.loads(text)
        if isinstance(said, dict):
            return cast("Mapping[str, Any]", said)
    return {}


def _batches(rows: ArrowStream) -> Iterator[RecordBatch]:
    for batch in RecordBatchReader.from_stream(rows):
        for start in range(0, batch.num_rows, BATCH):
            yield batch.slice(start, min(BATCH, batch.num_rows - start))


def _parts(rows: Iterable[dict[str, Any]], schema: Schema) -> Iterator[RecordBatch]:
    left = iter(rows)
    while part := list(islice(left, BATCH)):
        yield from to_table(part, schema).to_batches()


def _arrow_type(kind: str) -> DataType:
    if kind.startswith("ARRAY<"):
        return DataType.list(Field("element", _arrow_type(kind[6:-1]), nullable=True))
    if found := _DECIMAL.fullmatch(kind):
        return DataType.decimal128(int(found[1]), int(found[2]))
    return _ARROW[kind]

"""The store on a Spark session: inside of Databricks, or on any Spark with Delta.

The session is somebody else's: its settings stay as they are.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.settings import PRODUCT, Settings
from lakeflow_job_meta.store.connection import Parameters
from lakeflow_job_meta.store.databricks_sql import SqlStore
from lakeflow_job_meta.store.engine_errors import error_of
from lakeflow_job_meta.store.spark_bulk import SparkBulk
from lakeflow_job_meta.store.values import EPOCH

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType

Decode = Callable[[Any], Any]

CAUSES = 10
"""So many errors of a chain are looked at."""


class SparkStore(SqlStore):
    """The store protocol over a Spark session.

    Args:
        session: A session with Delta; by default the active one, or the one that Spark's own configuration makes.
        table_defaults: Who fills the defaults of columns that an INSERT leaves out: `product` or `engine`.

    Raises:
        UsageError: pyspark isn't installed, or the session knows no Delta.

    Example:
        orchestrator = JobOrchestrator("main.etl.control", store=SparkStore(spark))
    """

    def __init__(self, session: SparkSession | None = None, *, table_defaults: str = PRODUCT) -> None:
        connection = SparkConnection(session or _own_session())
        super().__init__(connection, table_defaults=table_defaults)
        self._bulk = SparkBulk(connection.session, connection.run, self._columns, connection.taken)

    def _columns(self, table: TableName) -> Sequence[Column]:
        return self._facts.with_columns(table)[1]

    def put(self, table: TableName, rows: ArrowStream, note: Mapping[str, str], *, span: Span | None = None) -> None:
        self._bulk.put(table, rows, note, span)
        self._facts.happened(table)

    def merge(
        self,
        table: TableName,
        rows: ArrowStream,
        key: Sequence[str],
        note: Mapping[str, str],
        *,
        span: Span | None = None,
    ) -> None:
        self._bulk.merge(table, rows, key, note, span)
        self._facts.happened(table)

    def stream(
        self, table: TableName, columns: Sequence[str], *, span: Span | None = None
    ) -> AbstractContextManager[ArrowStream]:
        return self._bulk.stream(table, columns, span)

    def totals(self, table: TableName, key: str | None, *, span: Span | None = None) -> Totals:
        return self._bulk.totals(table, key, span)

    def noted(self, table: TableName, name: str) -> str | None:
        return self._bulk.noted(table, name)


def spark_store(settings: Settings) -> SparkStore:
    """The store on the active session, or on the one that Spark's own configuration makes.

    Raises:
        UsageError: pyspark isn't installed, or the session knows no Delta.
    """
    return SparkStore(table_defaults=settings.table_defaults)


def _own_session() -> SparkSession:
    try:
        from pyspark.sql import SparkSession
    except ImportError as problem:
        raise UsageError(
            "the store is spark, but pyspark isn't installed",
            hint="pip install 'lakeflow-job-meta[spark]'; inside of Databricks it is there already",
        ) from problem
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    made = SparkSession.builder.getOrCreate()
    if "delta" not in str(made.conf.get("spark.sql.extensions", "")).lower():
        raise UsageError(
            "this Spark has no Delta Lake",
            hint="name its package and its session extension in spark-defaults.conf, as docs/stores.md shows",
        )
    return made


class SparkConnection:
    """Statements on a Spark session, classic or Connect."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        _keep_quiet()

    @property
    def label(self) -> str:
        return f"Spark {self._session.version}"

    def run(self, statement: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """Run one statement; see connection.Connection."""
        with _reported(), _ours():
            send = cast("Callable[..., DataFrame]", self._session.sql)  # pyright: ignore[reportUnknownMemberType] (partly untyped)
            return _rows(send(statement, args=dict(parameters) if parameters else None))

    def fields(self, table: str) -> Sequence[Mapping[str, Any]]:
        """The table's columns as JSON; see connection.Typed."""
        with _reported(), _ours():
            told = json.loads(self._session.table(table).schema.json())
        return cast("Sequence[Mapping[str, Any]]", told["fields"])

    @property
    def session(self) -> SparkSession:
        return self._session

    def taken(self, statement: str, parameters: Parameters | None = None) -> Iterator[dict[str, Any]]:
        """The rows of a query, a partition at a time in this process."""
        with _reported(), _ours():
            send = cast("Callable[..., DataFrame]", self._session.sql)  # pyright: ignore[reportUnknownMemberType] (as above)
            frame, names, decoders = _decoded(send(statement, args=dict(parameters) if parameters else None))
            for row in cast("Iterator[Sequence[Any]]", frame.toLocalIterator()):
                yield _as_dict(names, decoders, row)


def _rows(frame: DataFrame) -> list[dict[str, Any]]:
    asked, names, decoders = _decoded(frame)
    return [_as_dict(names, decoders, row) for row in cast("Sequence[Sequence[Any]]", asked.collect())]


def _decoded(frame: DataFrame) -> tuple[DataFrame, list[str], list[Decode]]:
    """What is to be asked, the columns' names, and what makes plain values of each."""
    from pyspark.sql import functions
    from pyspark.sql.types import TimestampType

    names = [field.name for field in frame.schema.fields]
    kinds = [field.dataType for field in frame.schema.fields]
    moments = [isinstance(kind, TimestampType) for kind in kinds]
    if any(moments):
        # As numbers: pyspark makes datetimes in this machine's zone, and not of all years.
        positions = [f"c{position}" for position in range(len(names))]
        asked = [
            functions.unix_micros(each) if moment else each for each, moment in zip(positions, moments, strict=True)
        ]
        frame = frame.toDF(*positions).select(*cast("list[Any]", asked))
    decoders = [_of_micros if moment else _decoder(kind) for kind, moment in zip(kinds, moments, strict=True)]
    return frame, names, decoders


def _as_dict(names: Sequence[str], decoders: Sequence[Decode], row: Sequence[Any]) -> dict[str, Any]:
    return {
        name: None if value is None else decode(value) for name, decode, value in zip(names, decoders, row, strict=True)
    }


def _of_micros(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def _decoder(kind: DataType) -> Decode:
    """Makes plain values of what pyspark gives."""
    from pyspark.sql import types

    if isinstance(kind, types.BinaryType):
        return bytes
    if isinstance(kind, types.TimestampType):
        return lambda value: value.astimezone(UTC)
    if isinstance(kind, types.ArrayType):
        item = _optional(kind.elementType)
        return lambda value: [item(each) for each in value]
    if isinstance(kind, types.MapType):
        of_key, of_value = _optional(kind.keyType), _optional(kind.valueType)
        return lambda value: {of_key(name): of_value(each) for name, each in value.items()}
    if isinstance(kind, types.StructType):
        fields = [(field.name, _optional(field.dataType)) for field in kind.fields]
        return lambda value: {name: of(each) for (name, of), each in zip(fields, value, strict=True)}
    return lambda value: value


def _optional(kind: DataType) -> Decode:
    decode = _decoder(kind)
    return lambda value: None if value is None else decode(value)


@contextmanager
def _reported() -> Generator[None]:
    """Spark's errors as ours."""
    from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkException

    try:
        yield
    except PySparkException as problem:
        wrong = isinstance(problem, AnalysisException | IllegalArgumentException)
        raise error_of(str(problem), sqlstate=problem.getSqlState() or "", wrong=wrong) from problem
    except _java_error() as problem:
        raise error_of(_said_by_java(problem)) from problem


def _java_error() -> type[Exception]:
    """What a classic session raises where Java's error has no class in Python, or Java is gone."""
    try:
        from py4j.protocol import Py4JError
    except ImportError:  # Spark Connect alone has none
        return ConnectionError
    return Py4JError


def _said_by_java(problem: Exception) -> str:
    from py4j.protocol import Py4JJavaError

    if not isinstance(problem, Py4JJavaError):
        return f"Spark doesn't answer: {problem}"
    thrown = cast("Any", problem.java_exception)
    lines: list[str] = []
    # A task's own error is only the cause of its failure; and Delta's older releases tell a lost race by its class.
    while thrown is not None and len(lines) < CAUSES:
        lines.append(f"{thrown.getMessage()}\n{thrown.getClass().getName()}")
        thrown = thrown.getCause()
    return "\n".join(lines)


_running = threading.local()


@contextmanager
def _ours() -> Generator[None]:
    _running.ours = True
    try:
        yield
    finally:
        _running.ours = False


class _NotOurs(logging.Filter):
    """Lets through what isn't about our own statements."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_running, "ours", False)


_not_ours = _NotOurs()


def _keep_quiet() -> None:
    """pyspark writes each error on stderr as JSON with a stack trace, also those that we expect: whether a table exists
    is asked so. We raise them all."""
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:  # before Spark 4
        return
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).addFilter(_not_ours)

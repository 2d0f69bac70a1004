"""The embedded store: Delta tables in a folder, by delta-rs, with nothing to install or start.

Reading and writing need only deltalake and arro3; DuckDB and sqlglot are imported when SQL is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from arro3.core import Table
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import StoreError, TableNotFound
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.table import (
    Changes,
    Commit,
    Row,
    RowChange,
    Snapshot,
    TableInfo,
    TableName,
    TableSpec,
)
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store import edits, feed
from lakeflow_job_meta.store.arrow import EPOCH, to_rows, to_table, with_texts
from lakeflow_job_meta.store.base import SCHEMA_VERSION, Abilities
from lakeflow_job_meta.store.clustering import clustering, clustering_of
from lakeflow_job_meta.store.delta_schema import columns_of
from lakeflow_job_meta.store.delta_tables import Declaration, DeltaTables, Edit
from lakeflow_job_meta.store.edits import ACTION
from lakeflow_job_meta.store.generated import noted, with_generated

PUSHED_DOWN = 200
"""So many values of one column are given to delta-rs as a filter; more are cheaper to filter here."""


class DeltaStore:
    """The store protocol over `<home>/tables/<catalog>/<schema>/<table>`.

    Args:
        home: The folder that holds everything of the embedded product; made when first written to.

    >>> import tempfile
    >>> store = DeltaStore(Path(tempfile.mkdtemp()))
    >>> spec = TableSpec.from_json(TableName.parse("main.etl.t"), [{"name": "id", "type": "STRING"}])
    >>> store.create(spec), store.append(spec, [{"id": "a"}]), store.read(spec.name).rows
    (True, 1, ({'id': 'a'},))
    """

    def __init__(self, home: Path) -> None:
        self.home = Path(home)
        self._tables = DeltaTables(self.home)

    @property
    def label(self) -> str:
        try:
            shown = f"./{self.home.resolve().relative_to(Path.cwd())}"
        except ValueError:
            shown = str(self.home)
        return f"embedded ({shown})"

    def create(self, spec: TableSpec) -> bool:
        made = {SCHEMA_VERSION: str(spec.schema_version), **clustering(spec.cluster_by), **noted(spec.columns)}
        properties = {**spec.properties, **made}
        return delta.make(
            self._tables, Declaration(spec.name, spec.columns, spec.partition_by, spec.description, properties)
        )

    def info(self, table: TableName) -> TableInfo | None:
        try:
            with self._tables.latest(table) as opened:
                metadata, columns = opened.metadata(), columns_of(opened)
                properties = dict(metadata.configuration)
                return TableInfo(
                    table,
                    str(metadata.id),
                    opened.version(),
                    properties,
                    lambda: columns,
                    partition_by=tuple(metadata.partition_columns),
                    cluster_by=clustering_of(properties),
                    description=str(metadata.description or ""),
                )
        except TableNotFound:
            return None

    def read(
        self,
        table: TableName,
        *,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[Any]] | None = None,
        version: int | None = None,
    ) -> Snapshot:
        if version is not None:
            opened = self._tables.at(table, version)
            with delta.reported(table):
                return _snapshot(opened, columns, where)
        with self._tables.latest(table) as opened:
            return _snapshot(opened, columns, where)

    def transact(
        self,
        spec: TableSpec,
        decide: Callable[[Snapshot], Changes],
        *,
        where: Mapping[str, Sequence[Any]] | None = None,
    ) -> int | None:
        return self._tables.rerun(str(spec.name), partial(self._try, spec, decide, where))

    def _try(
        self, spec: TableSpec, decide: Callable[[Snapshot], Changes], where: Mapping[str, Sequence[Any]] | None
    ) -> int | None:
        with self._tables.latest(spec.name) as opened:
            snapshot = _snapshot(opened, None, where)
            wanted, columns = decide(snapshot), columns_of(opened)
            rows = edits.edits_of(spec, columns, snapshot.rows, wanted, self._evaluate) if wanted else []
            if not rows:
                return None
            if all(row[ACTION] == "insert" for row in rows):
                delta.append(opened, to_table(rows, delta.append_schema(opened)), "MERGE", alone=True)
            else:
                whole = with_generated(rows, columns)
                schema = delta.edit_schema(delta.arrow_schema(opened))
                delta.commit(opened, _keyed_edit(spec, whole, to_table(whole, schema)))
            return opened.version()

    def append(self, spec: TableSpec, rows: Sequence[Row]) -> int:
        return self._tables.rerun(str(spec.name), partial(self._append, spec, rows))

    def _append(self, spec: TableSpec, rows: Sequence[Row]) -> int:
        with self._tables.latest(spec.name) as opened:
            if rows:
                columns = columns_of(opened)
                for row in rows:
                    edits.refuse_unknown(spec.name, row, columns)
                filled = edits.with_defaults(rows, columns, self._evaluate)
                edits.refuse_missing(spec, filled, columns)
                delta.append(opened, to_table(filled, delta.append_schema(opened)), "WRITE", alone=False)
            return opened.version()

    def _evaluate(self, expression: str) -> Any:
        return self.sql(f"SELECT {expression} AS value")[0]["value"]

    def changes(self, spec: TableSpec, since: int) -> list[RowChange] | None:
        with self._tables.latest(spec.name) as opened:
            newest = opened.version()
            if since == newest:
                return []
            told = feed.is_told(self._tables.folder(spec.name), range(since + 1, newest + 1))
            if not 0 <= since < newest or opened.metadata().configuration.get(feed.FEED) != "true" or not told:
                return None
            try:
                rows = to_rows(opened.load_cdf(since + 1, newest))
            except DeltaError:
                # The log was cleaned up, or a file of the feed is gone: the caller reads the table instead.
                return None
        return feed.net(rows, spec.key)

    def history(self, table: TableName, limit: int = 100) -> list[Commit]:
        with self._tables.latest(table) as opened:
            return [_commit(each) for each in opened.history(limit)]

    @property
    def abilities(self) -> Abilities:
        return Abilities(clusters=False, changes_types=True, fills_defaults=False)

    def listed(self, catalog: str, schema: str) -> list[TableName] | None:
        return self._tables.listed(catalog, schema) if self._tables.root.joinpath(catalog, schema).is_dir() else None

    def ensure_schema(self, catalog: str, schema: str, description: str = "") -> None:
        folder = self._tables.root.joinpath(catalog, schema)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise StoreError(f"schema {catalog}.{schema} can't be made: {problem}") from problem

    def rename(self, table: TableName, to: TableName) -> None:
        delta.rename(self._tables, table, to)

    def put(self, table: TableName, rows: ArrowStream, note: Mapping[str, str], *, span: Span | None = None) -> int:
        from lakeflow_job_meta.store import delta_bulk

        return delta_bulk.put(self._tables, table, rows, note, span)

    def merge(
        self,
        table: TableName,
        rows: ArrowStream,
        key: Sequence[str],
        note: Mapping[str, str],
        *,
        span: Span | None = None,
    ) -> int:
        from lakeflow_job_meta.store import delta_bulk

        return delta_bulk.merge(self._tables, table, rows, key, note, span)

    def stream(
        self, table: TableName, columns: Sequence[str], *, span: Span | None = None
    ) -> AbstractContextManager[ArrowStream]:
        from lakeflow_job_meta.store import delta_bulk

        return delta_bulk.stream(self._tables, table, columns, span)

    def totals(self, table: TableName, key: str | None, *, span: Span | None = None) -> Totals:
        from lakeflow_job_meta.store import delta_bulk

        return delta_bulk.totals(self._tables, table, key, span)

    def noted(self, table: TableName, name: str) -> str | None:
        from lakeflow_job_meta.store import delta_bulk

        return delta_bulk.noted(self._tables, table, name)

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        from lakeflow_job_meta.store.sql.door import run

        return run(self._tables, text, parameters or {})


def _snapshot(opened: DeltaTable, columns: Sequence[str] | None, where: Mapping[str, Sequence[Any]] | None) -> Snapshot:
    known = [each.name for each in opened.schema().fields]
    for name in (*(columns or ()), *(where or ())):
        if name not in known:
            raise StoreError(f"unknown column '{name}'", hint=nearest(name, known) or "known: " + ", ".join(known))
    if where and not all(where.values()):
        return Snapshot(str(opened.metadata().id), opened.version(), ())  # no value, no row: no file need be read
    pushed, kept = _split(where or {})
    asked = list(columns) if columns is not None else known
    scanned = [*asked, *(name for name in kept if name not in asked)]
    rows = to_rows(opened.scan(columns=scanned, predicate=pushed))
    if kept:
        rows = [row for row in rows if all(row[name] in values for name, values in kept.items())]
    if len(scanned) > len(asked):
        rows = [{name: row[name] for name in asked} for row in rows]
    return Snapshot(str(opened.metadata().id), opened.version(), tuple(rows))


def _split(where: Mapping[str, Sequence[Any]]) -> tuple[str | None, dict[str, Sequence[Any]]]:
    """What delta-rs filters, as its predicate, and what is left to filter here."""
    pushed = {
        name: values
        for name, values in where.items()
        if 0 < len(values) <= PUSHED_DOWN and all(type(value) in (str, int) for value in values)
    }
    texts = [f'"{name}" IN ({", ".join(_literal(value) for value in values)})' for name, values in pushed.items()]
    return " AND ".join(texts) or None, {name: values for name, values in where.items() if name not in pushed}


def _literal(value: str | int) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _keyed_edit(spec: TableSpec, rows: Sequence[Row], source: Table) -> Edit:
    names = source.column_names
    with_action = with_texts(source, ACTION, [row[ACTION] for row in rows])
    return Edit(with_action, {name: name for name in spec.key}, {name: name for name in names}, "MERGE")


def _commit(entry: Mapping[str, Any]) -> Commit:
    moment = EPOCH + timedelta(milliseconds=int(entry.get("timestamp", 0)))
    operation = str(entry.get(delta.OPERATION) or entry.get("operation", ""))
    return Commit(int(entry["version"]), moment, operation, str(entry.get("userName", "")))

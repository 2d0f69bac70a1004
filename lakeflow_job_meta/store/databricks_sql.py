"""The store on an engine that speaks Databricks SQL itself: a Spark session, a SQL warehouse.

Belongs here: what the store's methods mean in SQL. Doesn't: an engine's name, its driver, its errors.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from lakeflow_job_meta.errors import ConflictError, SqlError, StoreError, TableNotFound
from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.table import Changes, Commit, Row, RowChange, Snapshot, TableInfo, TableName, TableSpec
from lakeflow_job_meta.settings import PRODUCT
from lakeflow_job_meta.store import edits, statements, table_statements
from lakeflow_job_meta.store.base import SCHEMA_VERSION, Abilities
from lakeflow_job_meta.store.clustering import clustering
from lakeflow_job_meta.store.connection import Connection, LostRace, Typed
from lakeflow_job_meta.store.defaults import DEFAULTS_PROPERTY, ENGINE_DEFAULTS
from lakeflow_job_meta.store.feed import FEED, net
from lakeflow_job_meta.store.generated import GENERATED_PROPERTY, generated_of, noted
from lakeflow_job_meta.store.statements import Sql
from lakeflow_job_meta.store.table_facts import TableFacts
from lakeflow_job_meta.store.transaction import NotWritten, Transaction, columns_for, evaluated, selected, settled

Result = TypeVar("Result")

ATTEMPTS = 20
FAILURES = 2
"""So many writes of unknown outcome that turn out not to be written are tried again."""

MOST_VERSIONS = 1000
"""A change feed over more versions than that isn't read: the whole table is quicker."""

_UNTELLING = ("CREATE", "REPLACE", "RESTORE", "CLONE", "CONVERT", "COLUMN", "SCHEMA", "PROPERTIES")
"""Words of operations that the change feed tells wrongly, or that may have changed what it tells."""


class SqlStore:
    """The store protocol over a connection. Safe for threads, as the connection is.

    Args:
        connection: Where statements run.
        table_defaults: Who fills the defaults of columns that an INSERT leaves out: `product` or `engine`. The engine
            can do so only in tables that are made with Delta's own defaults, and these delta-rs can't write.
    """

    def __init__(self, connection: Connection, *, table_defaults: str = PRODUCT) -> None:
        self.connection = connection
        self._engine_fills = table_defaults != PRODUCT
        self._facts = TableFacts(self._run, connection.fields if isinstance(connection, Typed) else None)
        self._counting = threading.Lock()
        self._count = 0

    @property
    def label(self) -> str:
        return self.connection.label

    @property
    def statements(self) -> int:
        """How many statements were sent so far."""
        return self._count

    def one_look(self) -> AbstractContextManager[None]:
        """While it lasts, this thread looks at each table but once; see base.one_look."""
        return self._facts.one_look()

    def create(self, spec: TableSpec) -> bool:
        try:
            _ = self._facts.commits(spec.name, 1)
        except TableNotFound:
            return self._create(spec)
        return False

    def _create(self, spec: TableSpec) -> bool:
        properties = {**spec.properties, SCHEMA_VERSION: str(spec.schema_version)}
        defaults = {each.name: each.default for each in spec.columns if each.default is not None}
        if defaults:
            properties |= ENGINE_DEFAULTS if self._engine_fills else {DEFAULTS_PROPERTY: json.dumps(defaults)}
        try:
            self._make(spec, properties)
        except (SqlError, TableNotFound) as problem:  # what isn't found is the schema
            if "ALREADY_EXISTS" in problem.message:
                return False
            raise StoreError(f"{spec.name} can't be made: {problem.message}", hint=problem.hint) from problem
        return True

    def _make(self, spec: TableSpec, properties: Mapping[str, str]) -> None:
        kept = clustering(spec.cluster_by) if spec.partition_by else {}
        expressions = {each.name: each.generated for each in spec.columns if each.generated is not None}
        make = partial(table_statements.create, spec, with_defaults=self._engine_fills)
        try:
            _ = self._run(make({**properties, **kept, **noted(spec.columns)}))
        except SqlError as problem:
            # Spark without Databricks has generated columns, but not in SQL.
            if not expressions or "generated columns" not in problem.message:
                raise
            _ = self._run(make({**properties, **kept, GENERATED_PROPERTY: json.dumps(expressions)}, generated=False))

    def info(self, table: TableName) -> TableInfo | None:
        try:
            return self._facts.info(table)
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
        facts = self._facts.remembered(table) if version is not None else None
        if facts is None:
            facts = self._facts.newest(table)
        version = facts.version if version is None else version
        if where and not all(where.values()):
            return Snapshot(facts.table_id, version, ())  # no value, no row
        query = statements.select(table, version, columns=columns, where=where)
        return Snapshot(facts.table_id, version, tuple(selected(self._send, self._facts, table, query)))

    def transact(
        self,
        spec: TableSpec,
        decide: Callable[[Snapshot], Changes],
        *,
        where: Mapping[str, Sequence[Any]] | None = None,
    ) -> int | None:
        transaction = Transaction(self._send, self._facts, spec, decide, where or {})
        failures: list[StoreError] = []

        def attempt(number: int) -> int | None:
            try:
                return transaction.attempt(guess=number == 0)
            except NotWritten as problem:
                failures.append(problem.cause)
                if len(failures) > FAILURES:
                    raise problem.cause from problem
                raise LostRace(str(problem)) from problem

        return self._rerun(str(spec.name), attempt)

    def append(self, spec: TableSpec, rows: Sequence[Row]) -> int | None:
        if rows:
            columns = columns_for(self._facts, spec, rows)
            for row in rows:
                edits.refuse_unknown(spec.name, row, columns)
            filled = edits.with_defaults(rows, columns, partial(evaluated, self._send))
            edits.refuse_missing(spec, filled, columns)
            columns, filled = settled(self._facts, spec.name, columns, filled)
            insert = statements.insert(spec.name, columns, filled)
            _ = self._rerun(str(spec.name), lambda number: self._send(insert))
            self._facts.happened(spec.name)
        return None

    def changes(self, spec: TableSpec, since: int) -> list[RowChange] | None:
        newest = self._facts.newest(spec.name)
        if since == newest.version:
            return []
        if not 0 <= since < newest.version <= since + MOST_VERSIONS or newest.properties.get(FEED) != "true":
            return None
        commits = self._facts.since(spec.name, since, newest.version)
        if commits is None or any(word in commit.operation for commit in commits for word in _UNTELLING):
            return None
        try:
            rows = self._send(statements.feed(spec.name, since + 1, newest.version))
        except SqlError:
            return None  # the feed was off meanwhile, or its files are gone: the caller reads the table instead
        return net(rows, spec.key)

    def history(self, table: TableName, limit: int = 100) -> list[Commit]:
        return self._facts.commits(table, limit)

    @property
    def abilities(self) -> Abilities:
        return Abilities(clusters=True, changes_types=False, fills_defaults=self._engine_fills)

    def listed(self, catalog: str, schema: str) -> list[TableName] | None:
        place = f"{table_statements.quoted(catalog)}.{table_statements.quoted(schema)}"
        try:
            rows = self._run(f"SHOW TABLES IN {place}")
        except TableNotFound:
            return None
        return sorted(TableName(catalog, schema, str(row["tableName"])) for row in rows if not row["isTemporary"])

    def ensure_schema(self, catalog: str, schema: str, description: str = "") -> None:
        _ = self._run(table_statements.create_schema(catalog, schema, description))

    def rename(self, table: TableName, to: TableName) -> None:
        try:
            _ = self._run(table_statements.rename(table, to))
        except SqlError as problem:
            if "REQUIRES_SINGLE_PART_NAMESPACE" not in problem.message:
                raise
            _ = self._run(table_statements.rename(table, to, two_parts=True))
        self._facts.happened(table, to)

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        from lakeflow_job_meta.store.sql.as_written import statements_of

        rows: list[dict[str, Any]] = []
        parts = statements_of(text, parameters or {})
        for part in parts:
            try:
                whole = part.completed(self._filled_by_us)
                rows = self._rerun(part.where, lambda number, whole=whole: self._send(whole))
            except (SqlError, TableNotFound) as problem:
                where = f"{part.where}: " if len(parts) > 1 else ""
                raise SqlError(f"{where}{problem.message}", hint=problem.hint) from problem
            finally:
                self._facts.happened()
        return rows

    def _filled_by_us(self, table: TableName) -> Sequence[Column]:
        """The table's columns but for those that the engine itself generates."""
        facts, columns = self._facts.with_columns(table)
        ours = generated_of(facts.properties)
        return [each for each in columns if each.generated is None or each.name in ours]

    def _send(self, statement: Sql) -> list[dict[str, Any]]:
        return self._run(statement.text, statement.parameters)

    def _run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._counting:
            self._count += 1
        return self.connection.run(statement, parameters)

    def _rerun(self, what: str, attempt: Callable[[int], Result]) -> Result:
        """Run a write again for as long as others win the race.

        Raises:
            ConflictError: they kept winning; nothing was written.
        """
        for number in range(ATTEMPTS):
            try:
                return attempt(number)
            except LostRace:
                time.sleep(random.uniform(0, min(0.05 * 2**number, 5)))  # noqa: S311 (jitter, not a secret)
        raise ConflictError(f"{what}: others kept writing, {ATTEMPTS} tries were lost", hint="try again")

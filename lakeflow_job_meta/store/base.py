"""The protocol that every store fulfils: eight methods, nothing about any engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.table import Changes, Commit, Row, RowChange, Snapshot, TableInfo, TableName, TableSpec

SCHEMA_VERSION = "lakeflow_job_meta.schema_version"
"""The table property that says which version of its declaration a table was made or migrated to."""


class Store(Protocol):
    """Where tables live. Every method raises StoreError where the store can't be read or written."""

    @property
    def label(self) -> str:
        """What people are told: `embedded (./.lakeflow)`."""
        ...

    def create(self, spec: TableSpec) -> bool:
        """Make the table unless it exists; says whether it was made. Columns of an existing table stay as they are."""
        ...

    def info(self, table: TableName) -> TableInfo | None:
        """The table as it is now, or None where there is none. Cheap: the version check of every tick."""
        ...

    def read(
        self,
        table: TableName,
        *,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[Any]] | None = None,
        version: int | None = None,
    ) -> Snapshot:
        """Rows of one version (the latest by default), those whose columns hold one of the listed values.

        Raises:
            TableNotFound: no such table.
        """
        ...

    def transact(
        self,
        spec: TableSpec,
        decide: Callable[[Snapshot], Changes],
        *,
        where: Mapping[str, Sequence[Any]] | None = None,
    ) -> int | None:
        """Read, decide, write, as one: `decide` gets the rows and says what to change by the spec's key.

        A write that lost a race is decided again on fresh rows. `decide` may thus run several times and must be pure.
        With `where` (columns of the key only) it gets just those rows, and may change just those.

        Returns:
            The version written, or None where `decide` wanted nothing.

        Raises:
            ConflictError: others kept winning the race; nothing was written.
        """
        ...

    def append(self, spec: TableSpec, rows: Sequence[Row]) -> int | None:
        """Add rows without looking at any; returns the version written, None where the engine doesn't tell it."""
        ...

    def changes(self, spec: TableSpec, since: int) -> list[RowChange] | None:
        """What the change feed tells after version `since`, net by key; None where it can't tell."""
        ...

    def history(self, table: TableName, limit: int = 100) -> list[Commit]:
        """The newest versions first."""
        ...

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run Databricks SQL (several statements with `;` between); the rows of the last one.

        Raises:
            SqlError: a statement that isn't supported or is wrong; those before it stay done.
        """
        ...


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do with tables: cluster them by itself (liquid), change a column's type where it stands, fill
    the defaults of columns that an INSERT leaves out."""

    clusters: bool
    changes_types: bool
    fills_defaults: bool


class TableStore(Store, Protocol):
    """A store whose schemas and tables can be made to order, beyond what the product needs for its own."""

    @property
    def abilities(self) -> Abilities:
        """What the engine can do."""
        ...

    def listed(self, catalog: str, schema: str) -> list[TableName] | None:
        """The tables of a schema, in order of their names; None where there is no such schema."""
        ...

    def ensure_schema(self, catalog: str, schema: str, description: str = "") -> None:
        """Make the schema unless it exists."""
        ...

    def rename(self, table: TableName, to: TableName) -> None:
        """Give the table another name in its schema."""
        ...


@runtime_checkable
class BulkStore(TableStore, Protocol):
    """A store that takes and gives millions of rows as Arrow, in bounded memory. Each write is one commit, which
    carries what is said of it (`note`); columns are cast to those of the table, and what can't be is an error,
    never NULL.

    Raises, all of them: StoreError, TableNotFound; InputError for a value that its column can't hold.
    """

    def put(
        self, table: TableName, rows: ArrowStream, note: Mapping[str, str], *, span: Span | None = None
    ) -> int | None:
        """Put the rows in the place of all others, or of those in the span; the version, where the engine tells."""
        ...

    def merge(
        self,
        table: TableName,
        rows: ArrowStream,
        key: Sequence[str],
        note: Mapping[str, str],
        *,
        span: Span | None = None,
    ) -> int | None:
        """Update the rows that have the same key, add the others; rows of the span that aren't given are deleted."""
        ...

    def stream(
        self, table: TableName, columns: Sequence[str], *, span: Span | None = None
    ) -> AbstractContextManager[ArrowStream]:
        """The rows of one version, those of the span; to be read while the context lasts."""
        ...

    def totals(self, table: TableName, key: str | None, *, span: Span | None = None) -> Totals:
        """What there is to count."""
        ...

    def noted(self, table: TableName, name: str) -> str | None:
        """What the newest commit says that says anything under this name; a version that was taken back by RESTORE says
        nothing any more. None where there is no table, or none of its commits says it."""
        ...


def bulk(store: Store) -> BulkStore:
    """The store, if it can move tables.

    Raises:
        UsageError: it can't.
    """
    if isinstance(store, BulkStore):
        return store
    raise UsageError(
        f"{store.label} can't move whole tables: a SQL warehouse takes statements, not Arrow",
        hint="run the stage as a task of a job, where a Spark session is the store; or with LAKEFLOW_STORE=embedded",
    )


@runtime_checkable
class Looking(Protocol):
    """A store for which to look at a table's version costs something."""

    def one_look(self) -> AbstractContextManager[None]:
        """While it lasts, this thread looks at each table but once."""
        ...


def one_look(store: Store) -> AbstractContextManager[None]:
    """While it lasts, each table is read as it was at the first look: for what reads several times, and needs nothing
    newer than its own beginning. What is to be written is decided on the newest rows all the same."""
    return store.one_look() if isinstance(store, Looking) else nullcontext()

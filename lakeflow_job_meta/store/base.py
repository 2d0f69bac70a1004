"""The protocol that every store fulfils: eight methods, nothing about any engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from lakeflow_job_meta.model.table import Changes, Commit, Row, RowChange, Snapshot, TableInfo, TableName, TableSpec


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

    def append(self, spec: TableSpec, rows: Sequence[Row]) -> int:
        """Add rows without looking at any; returns the version written."""
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

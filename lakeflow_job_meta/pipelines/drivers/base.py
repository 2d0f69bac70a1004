"""What every driver gives: a database that can be asked, read, and written in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.stage import Relation

MARKS = "_lakeflow_watermarks"
"""The table of a destination that says how far each of its tables is loaded; it lies beside them."""

MARK_COLUMNS = ("sink_table", "lake_table", "incremental_key", "watermark", "lake_version", "run_id")
MARK_NUMBERS = ("lake_version", "run_id")


@dataclass(frozen=True, slots=True)
class RemoteColumn:
    """A column of a database's table.

    `native` is the type as the database writes it, `type` the one that it has in the data lake. `computed` is one
    whose values the database makes itself; `optional` one that needs none; `takes` are further types of the data
    lake that can be written into it.
    """

    name: str
    native: str
    type: str
    computed: bool = False
    optional: bool = True
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteTable:
    """A table as its database has it; `key` is its primary key, empty where it has none.

    `made` is one that a load makes itself, with the columns that it is given: a file.
    """

    relation: Relation
    columns: tuple[RemoteColumn, ...]
    key: tuple[str, ...] = ()
    made: bool = False

    def column(self, name: str) -> RemoteColumn | None:
        """The column of this name."""
        return next((each for each in self.columns if each.name == name), None)

    @property
    def types(self) -> dict[str, str]:
        """Each column's type in the data lake."""
        return {each.name: each.type for each in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.columns)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a table is loaded, written in the transaction that loads it."""

    lake_table: str
    incremental_key: str | None
    watermark: str | None
    lake_version: int
    run_id: int

    def row(self, sink_table: str) -> dict[str, Any]:
        """The row of the table of marks."""
        return {"sink_table": sink_table, **{name: getattr(self, name) for name in MARK_COLUMNS[1:]}}


class Database(Protocol):
    """A connection. Everything raises DatabaseError; values that a column can't hold are InputError."""

    def close(self) -> None:
        """End it; what isn't committed is gone."""
        ...

    def table(self, relation: Relation) -> RemoteTable | None:
        """The table, or None where there is none."""
        ...

    def lacking(self, relation: Relation, direction: Direction) -> Sequence[str]:
        """Privileges that we need for this direction, and don't have: `SELECT on public.orders`."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """While it lasts, everything is read as it was at one moment."""
        ...

    def totals(self, table: RemoteTable, key: str | None, span: Span | None = None) -> Totals:
        """What there is to count; see BulkStore.totals."""
        ...

    def stream(
        self, table: RemoteTable, *, span: Span | None = None, ordered_by: str | None = None
    ) -> AbstractContextManager[ArrowStream]:
        """The rows, those of the span, in the order of a column where one is given; to be read while it lasts."""
        ...

    def mark(self, relation: Relation) -> Mark | None:
        """How far the table is loaded, as its own database says."""
        ...

    def loading(self, table: RemoteTable) -> AbstractContextManager[Loading]:
        """One transaction, committed at its end, or gone with everything that was done in it."""
        ...


class Loading(Protocol):
    """A transaction that loads a table: rows are staged first, so that the table itself is touched only shortly."""

    def stage(self, rows: ArrowStream, columns: Sequence[str]) -> None:
        """Put rows beside the table."""
        ...

    def swap(self) -> None:
        """All rows of the table go, those that are staged take their place."""
        ...

    def upsert(self, key: Sequence[str], span: Span | None = None) -> None:
        """Staged rows take the place of those with the same key, or are added; of the span, others are deleted."""
        ...

    def note(self, mark: Mark) -> None:
        """Say how far the table is loaded now."""
        ...

"""What an engine that speaks Databricks SQL itself has to offer, so that a store can be built on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol, runtime_checkable

Parameters = Mapping[str, str | int | float | bool | date | datetime | None]
"""Values by name, `:name` in the statement; anything bigger travels as JSON text."""


class LostRace(Exception):
    """The engine refused a commit since somebody else's came first; nothing was written. Decide again."""


class Connection(Protocol):
    """One session with an engine; safe for threads.

    Values come as the embedded store gives them: a TIMESTAMP as an aware datetime in UTC whatever the session's time
    zone, a DATE as date, BINARY as bytes, an ARRAY as list, a MAP and a STRUCT as dict.
    """

    @property
    def label(self) -> str:
        """What people are told: `Spark 4.0.5`, `warehouse 1234567890abcdef`."""
        ...

    def run(self, statement: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """Run one statement; its rows by column name, none for a statement that has no result.

        The errors are made by `engine_errors.error_of`, so that every engine tells them in the same way.

        Raises:
            TableNotFound: it names a table that doesn't exist.
            LostRace: a concurrent commit came first; nothing was written.
            SqlError: the engine says that the statement is wrong, or that we may not run it.
            StoreError: the engine can't be reached, or failed; what was written isn't known.
        """
        ...


@runtime_checkable
class Typed(Protocol):
    """A connection that tells a table's whole schema, which SQL tells only in part: not which columns are required."""

    def fields(self, table: str) -> Sequence[Mapping[str, Any]]:
        """The table's columns as Spark and Delta write a schema as JSON: name, type, nullable, metadata.

        Args:
            table: The name, quoted.
        """
        ...

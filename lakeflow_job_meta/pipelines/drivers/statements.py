"""SQL that databases have in common, by their way of quoting: how staged rows get into a table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Quote = Callable[[str], str]


def double_quoted(name: str) -> str:
    """The name as standard SQL quotes it.

    >>> double_quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def back_quoted(name: str) -> str:
    """The name as MySQL quotes it.

    >>> back_quoted("a`b")
    '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True, slots=True)
class Target:
    """A table that is loaded, its names quoted already.

    Args:
        table: the table.
        stage: the one that holds the staged rows.
        columns: those that are loaded.
        values: what is made of each of the stage's columns.
    """

    table: str
    stage: str
    columns: Sequence[str]
    values: Sequence[str]

    def insert(self, overriding: str = "") -> str:
        """All staged rows are added."""
        # Names are quoted by their database's own rules, values come from its own catalogue.
        listed, values = ", ".join(self.columns), ", ".join(self.values)
        return f"INSERT INTO {self.table} ({listed}){overriding} SELECT {values} FROM {self.stage} AS s"  # noqa: S608

    def clear(self) -> str:
        """All rows go. Readers see them until the transaction ends; they wouldn't where the table is truncated."""
        return f"DELETE FROM {self.table}"  # noqa: S608

    def clear_span(self, key: Sequence[str], span: str) -> str:
        """Rows of a span go that aren't staged."""
        same = " AND ".join(f"s.{each} = {self.table}.{each}" for each in key)
        return f"DELETE FROM {self.table} WHERE {span} AND NOT EXISTS (SELECT 1 FROM {self.stage} AS s WHERE {same})"  # noqa: S608

    def on_conflict(self, key: Sequence[str]) -> str:
        """What follows an INSERT, where a row with the same key is to be updated."""
        others = [each for each in self.columns if each not in key]
        then = f"UPDATE SET {', '.join(f'{each} = EXCLUDED.{each}' for each in others)}" if others else "NOTHING"
        return f" ON CONFLICT ({', '.join(key)}) DO {then}"

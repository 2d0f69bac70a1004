"""What is known of each table: id and properties are asked for once, then the newest commit tells whether they hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.table import Column, Commit, TableInfo, TableName
from lakeflow_job_meta.store import statements
from lakeflow_job_meta.store.clustering import clustering_of
from lakeflow_job_meta.store.defaults import defaults_of
from lakeflow_job_meta.store.generated import ENGINE_GENERATED_PROPERTY, generated_of
from lakeflow_job_meta.store.table_statements import full_name
from lakeflow_job_meta.store.type_text import column_of_text, with_fields

Rows = list[dict[str, Any]]
RECENT = 10
"""So many commits are asked for: those since the last look are mostly among them."""

_ONLY_ROWS = frozenset(
    (
        "WRITE",
        "MERGE",
        "UPDATE",
        "DELETE",
        "OPTIMIZE",
        "VACUUM START",
        "VACUUM END",
        "STREAMING UPDATE",
        "COPY INTO",
    )
)
"""Operations that change neither a table's id nor its properties."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A table at its version `version`; `columns` are None as long as nobody asked."""

    version: int
    timestamp: datetime
    table_id: str
    properties: Mapping[str, str]
    columns: tuple[Column, ...] | None = None
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    description: str = ""

    @property
    def commit(self) -> tuple[int, datetime]:
        """Tells the table from another that was made in its place, and has a version of the same number."""
        return (self.version, self.timestamp)


class _Look(threading.local):
    """What this thread's one look has seen, None outside of any."""

    seen: dict[TableName, Facts] | None = None


class TableFacts:
    """Asks about tables, and remembers. Safe for threads: at worst something is asked twice.

    Args:
        run: runs a statement without parameters.
        fields: tells a table's whole schema as JSON; None where the engine can't.
    """

    def __init__(self, run: Callable[[str], Rows], fields: Callable[[str], Sequence[Mapping[str, Any]]] | None) -> None:
        self._run = run
        self._fields = fields
        self._known: dict[TableName, Facts] = {}
        self._recent: dict[TableName, list[Commit]] = {}
        self._look = _Look()
        self._outdated: set[TableName] = set()

    @contextmanager
    def one_look(self) -> Generator[None]:
        """While it lasts, this thread looks at each table but once."""
        before = self._look.seen
        self._look.seen = {} if before is None else before
        try:
            yield
        finally:
            self._look.seen = before

    def newest(self, table: TableName, *, again: bool = False) -> Facts:
        """The table now; one statement where only rows changed since the last look.

        Args:
            again: look also where one look should do.

        Raises:
            TableNotFound: there is none.
        """
        seen = self._look.seen
        if seen is not None and table in seen and not again:
            return seen[table]
        commits = self.commits(table, RECENT)
        known = self._known.get(table)
        if known is None or not _only_rows_since(known, commits):
            # The commit first: had the table changed before its detail is read, the next look finds another commit.
            known = self._asked(table, commits[0])
        else:
            known = replace(known, version=commits[0].version, timestamp=commits[0].timestamp)
        self._known[table], self._recent[table] = known, commits
        self._outdated.discard(table)
        if seen is not None:
            seen[table] = known
        return known

    def with_columns(self, table: TableName) -> tuple[Facts, tuple[Column, ...]]:
        """The table now, and its columns."""
        facts = self.newest(table)
        columns = facts.columns
        if columns is None:
            columns = columns_of(self._run(statements.describe(table)), facts.properties)
            if self._fields is not None:
                told = {str(field["name"]): field for field in self._fields(full_name(table))}
                columns = tuple(with_fields(each, told[each.name]) if each.name in told else each for each in columns)
            self._known[table] = facts = replace(facts, columns=columns)
            if self._look.seen is not None:
                self._look.seen[table] = facts
        return facts, columns

    def info(self, table: TableName) -> TableInfo:
        """The table now, as the store's callers know it."""
        facts = self.newest(table)
        return TableInfo(
            table,
            facts.table_id,
            facts.version,
            facts.properties,
            lambda: self.with_columns(table)[1],
            partition_by=facts.partition_by,
            cluster_by=facts.cluster_by,
            description=facts.description,
            tells_required=self._fields is not None,
        )

    def commits(self, table: TableName, limit: int) -> list[Commit]:
        """The newest commits, the newest first."""
        try:
            rows = self._run(statements.history(table, limit))
        except TableNotFound:
            self._known.pop(table, None)
            raise
        return [_commit(row) for row in rows]

    def since(self, table: TableName, version: int, newest: int) -> list[Commit] | None:
        """The commits after `version`, up to `newest`; None where the log doesn't have all of them any more."""
        for commits in (self._recent.get(table, []), None):
            listed = self.commits(table, newest - version + RECENT) if commits is None else commits
            found = [each for each in listed if version < each.version <= newest]
            if len(found) == newest - version:
                return found
        return None

    def remembered(self, table: TableName) -> Facts | None:
        """The table as it was at the last look."""
        return self._known.get(table)

    def guessed(self, table: TableName) -> Facts | None:
        """The table as it was at the last look, as long as we know of nothing that happened since."""
        return None if table in self._outdated else self._known.get(table)

    def happened(self, *tables: TableName) -> None:
        """Something was done to these tables, or to any of all."""
        self._outdated.update(tables or self._known)

    def wrote(self, table: TableName, before: Facts, version: int, timestamp: datetime) -> None:
        """Remember a commit of our own that followed on what is known."""
        known = self._known.get(table)
        if known is not None and known.commit == before.commit and version == before.version + 1:
            self._known[table] = replace(known, version=version, timestamp=timestamp)

    def _asked(self, table: TableName, newest: Commit) -> Facts:
        (row,) = self._run(statements.detail(table))
        properties = {str(name): str(value) for name, value in dict(row["properties"] or {}).items()}
        return Facts(
            newest.version,
            newest.timestamp,
            str(row["id"]),
            properties,
            partition_by=tuple(row.get("partitionColumns") or ()),
            cluster_by=tuple(row.get("clusteringColumns") or ()) or clustering_of(properties),
            description=str(row.get("description") or ""),
        )


def _only_rows_since(known: Facts, commits: Sequence[Commit]) -> bool:
    for commit in commits:
        if (commit.version, commit.timestamp) == known.commit:
            return True
        if commit.operation not in _ONLY_ROWS:
            return False
    return False


def _commit(row: Mapping[str, Any]) -> Commit:
    return Commit(int(row["version"]), row["timestamp"], str(row["operation"] or ""), str(row["userName"] or ""))


def columns_of(described: Sequence[Mapping[str, Any]], properties: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns that DESCRIBE TABLE EXTENDED lists, with the engine's defaults, or those kept as a property."""
    defaults = {name.lower(): text for name, text in defaults_of(properties).items()}
    columns: list[Column] = []
    section = ""
    for row in described:
        name, kind, comment = (str(row[each] or "") for each in ("col_name", "data_type", "comment"))
        if not name or (name.startswith("# ") and name != "# col_name"):
            section = name or "#"
        elif not section:
            columns.append(column_of_text(name, kind, comment))
        elif section == "# Column Default Values" and name != "# col_name":
            defaults[name.lower()] = comment
    generated = generated_of(properties, ENGINE_GENERATED_PROPERTY) | generated_of(properties)
    return tuple(
        replace(each, default=_given(defaults.get(each.name.lower())), generated=generated.get(each.name))
        for each in columns
    )


def _given(default: str | None) -> str | None:
    return None if default == "NULL" else default

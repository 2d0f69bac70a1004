"""Read, decide, write as one statement, and look whether it is written: a transaction where the engine has none.

How the statement refuses to write on rows that moved is told in `statements.merge`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import LakeflowJobMetaError, SqlError, StoreError, TableNotFound
from lakeflow_job_meta.model.table import Changes, Column, Row, Snapshot, TableName, TableSpec
from lakeflow_job_meta.store import edits, statements
from lakeflow_job_meta.store.edits import ACTION
from lakeflow_job_meta.store.feed import FEED
from lakeflow_job_meta.store.generated import generated_of, with_generated
from lakeflow_job_meta.store.statements import HASH, Decided, Sql, Where
from lakeflow_job_meta.store.table_facts import RECENT, Facts, TableFacts
from lakeflow_job_meta.store.values import stored

Decide = Callable[[Snapshot], Changes]
Run = Callable[[Sql], list[dict[str, Any]]]


class NotWritten(Exception):
    """The engine failed during a write, and the table tells that nothing was written."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__(cause.message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Transaction:
    """One write of a table that goes by what is in the table.

    Args:
        run: Runs a statement.
        facts: What is known of the tables.
        spec: The table.
        decide: Says what is to be changed.
        where: The rows that it gets, and may change.
    """

    run: Run
    facts: TableFacts
    spec: TableSpec
    decide: Decide
    where: Where

    def attempt(self, *, guess: bool) -> int | None:
        """Read, decide, and write once; the version, or None where nothing is to be changed.

        Raises:
            LostRace: the rows moved meanwhile; nothing was written.
            NotWritten: the engine failed, and nothing was written.
        """
        before, decided = self._decided(guess=guess)
        if decided is None:
            return None
        try:
            _ = self.run(statements.merge(decided))
        except TableNotFound:
            raise
        except StoreError as problem:
            # The answer was lost, or the engine; the write may have come through all the same.
            version = self._find(before, decided)
            if version is None:
                raise NotWritten(problem) from problem
            return version
        version = self._find(before, decided)
        if version is None:
            raise StoreError(
                f"{self.spec.name}: the write was confirmed, but no version of the table has these rows",
                hint=f"look at DESCRIBE HISTORY {self.spec.name}",
            )
        return version

    def _decided(self, *, guess: bool) -> tuple[Facts, Decided | None]:
        """What there is to do, decided on the newest rows.

        With `guess` it is decided on the version that was seen last, which spares to ask for the newest: if there is a
        newer one, the write is refused. What isn't followed by a write is decided on rows that are surely the newest.
        """
        remembered = self.facts.guessed(self.spec.name) if guess else None
        if remembered is not None:
            try:
                decided = self._decided_at(remembered)
            except LakeflowJobMetaError:
                decided = None
            if decided is not None:
                return remembered, decided
        newest = self.facts.newest(self.spec.name, again=True)
        return newest, self._decided_at(newest)

    def _decided_at(self, facts: Facts) -> Decided | None:
        query = statements.select_to_decide(self.spec.name, facts.version, self.where)
        read = selected(self.run, self.facts, self.spec.name, query)
        hashes: dict[tuple[Any, ...], list[str]] = {}
        for row in read:
            hashes.setdefault(edits.key_of(self.spec, row), []).append(row.pop(HASH))
        wanted = self.decide(Snapshot(facts.table_id, facts.version, tuple(read)))
        if not wanted:
            return None
        columns = columns_for(self.facts, self.spec, wanted.upserts)
        rows = edits.edits_of(self.spec, columns, read, wanted, lambda default: evaluated(self.run, default))
        columns, rows = settled(self.facts, self.spec.name, columns, rows)
        return Decided(self.spec, self.where, hashes, list(read[0]) if read else [], columns, rows) if rows else None

    def _find(self, before: Facts, decided: Decided) -> int | None:
        """The version after the one that was read that made all rows what they should be; None if there is none."""
        name = self.spec.name
        if before.properties.get(FEED) == "true":
            try:
                told = self.run(statements.feed(name, before.version + 1, None, self.where))
            except SqlError:
                told = []  # no version follows the one that was read, or the feed doesn't tell
            for version in sorted({int(row["_commit_version"]) for row in told}):
                rows = [row for row in told if row["_commit_version"] == version]
                after = [row for row in rows if row["_change_type"] in ("insert", "update_postimage")]
                gone = {edits.key_of(self.spec, row) for row in rows if row["_change_type"] == "delete"}
                if _holds(decided, after, gone):
                    self.facts.wrote(name, before, version, rows[0]["_commit_timestamp"])
                    return version
        for commit in self.facts.commits(name, RECENT):
            if commit.version <= before.version:
                break
            if _holds(decided, self.run(statements.select(name, commit.version, where=self.where)), None):
                return commit.version
        return None


def _holds(decided: Decided, rows: Sequence[Row], gone: Collection[tuple[Any, ...]] | None) -> bool:
    """Whether these rows are what was to be written; `gone` are the keys of rows that are told to have been deleted,
    None where the rows are all there are."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(edits.key_of(decided.spec, row), []).append(row)
    columns = {column.name: column for column in decided.columns}
    for edit in decided.edits:
        key = tuple(stored(columns[name], edit[name]) for name in decided.spec.key)
        here = found.get(key, [])
        if edit[ACTION] == "delete":
            if here or (gone is not None and key not in gone):
                return False
        elif not here or any(not _equal(decided.columns, edit, row) for row in here):
            return False
    return True


def _equal(columns: Sequence[Column], wanted: Row, row: Row) -> bool:
    pairs = ((stored(column, wanted.get(column.name)), row.get(column.name)) for column in columns)
    # NaN is the one value that isn't equal to itself.
    return all(one == other or (one != one and other != other) for one, other in pairs)


def columns_for(facts: TableFacts, spec: TableSpec, rows: Sequence[Row]) -> Sequence[Column]:
    """The declared columns, and those beside them that somebody else added and a row names."""
    others = {name for row in rows for name in row} - set(spec.column_names)
    if not others:
        return spec.columns
    _, found = facts.with_columns(spec.name)
    return (*spec.columns, *(each for each in found if each.name in others))


def settled(
    facts: TableFacts, table: TableName, columns: Sequence[Column], rows: Sequence[Row]
) -> tuple[Sequence[Column], Sequence[Row]]:
    """The columns and rows without what the engine generates, and with what it leaves to us to generate."""
    if all(each.generated is None for each in columns):
        return columns, rows
    ours = generated_of(facts.newest(table).properties)
    columns = [each for each in columns if each.generated is None or each.name in ours]
    return columns, with_generated(rows, columns)


def evaluated(run: Run, expression: str) -> Any:
    """The value of an expression."""
    return run(Sql(f"SELECT {expression} AS value", {}))[0]["value"]


def selected(run: Run, facts: TableFacts, table: TableName, query: Sql) -> list[dict[str, Any]]:
    """The rows of a query of ours.

    Raises:
        StoreError: a column that the table doesn't have, or a version.
    """
    try:
        return run(query)
    except SqlError as problem:
        if not problem.message.startswith("[UNRESOLVED_COLUMN"):
            raise StoreError(f"{table}: {problem.message}", hint=problem.hint) from problem
        known = [each.name for each in facts.with_columns(table)[1]]
        asked = problem.message.split("`")[1]
        hint = nearest(asked, known) or "known: " + ", ".join(known)
        raise StoreError(f"unknown column '{asked}'", hint=hint) from problem

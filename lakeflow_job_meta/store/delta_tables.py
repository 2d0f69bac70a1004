"""Delta tables in a home folder: where they lie, open handles, and commits that either win or are run again.

Belongs here: what the store's methods and the SQL front door share. Doesn't: SQL, or what rows mean.
"""

from __future__ import annotations

import getpass
import os
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from arro3.core import DataType, Schema, Table
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from lakeflow_job_meta.errors import ConflictError, SqlError, StoreError, TableNotFound
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.store.arrow import EPOCH, nullable, without_metadata
from lakeflow_job_meta.store.delta_schema import GENERATED, delta_fields
from lakeflow_job_meta.store.edits import ACTION
from lakeflow_job_meta.store.feed import FEED, log_file

Result = TypeVar("Result")

ATTEMPTS = 20
OPERATION = "lakeflowOperation"
"""The key of a commit's metadata that holds the statement: delta-rs calls all of ours MERGE or WRITE."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A decided write: rows in Arrow, with `ACTION` beside the columns; target rows are found by `match`, which maps a
    target column to the source column that identifies it, and get the source's values by `assign`."""

    source: Table
    match: Mapping[str, str]
    assign: Mapping[str, str]
    operation: str


class DeltaTables:
    """The tables of one home folder. Safe for threads: a handle is used by one caller at a time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "tables"
        self._lock = threading.Lock()
        self._spare: dict[TableName, tuple[DeltaTable, tuple[int, int]]] = {}

    def folder(self, name: TableName) -> Path:
        """Where the table lies; names are identifiers, so none leads out of the home."""
        return self.root / name.catalog / name.schema / name.name

    def exists(self, name: TableName) -> bool:
        return (self.folder(name) / "_delta_log").is_dir() and DeltaTable.is_deltatable(str(self.folder(name)))

    def listed(self, catalog: str, schema: str) -> list[TableName]:
        """The tables of one schema, in order of their names."""
        logs = self.root.joinpath(catalog, schema).glob("*/_delta_log")
        return sorted(TableName(catalog, schema, log.parent.name) for log in logs)

    @contextmanager
    def latest(self, name: TableName) -> Generator[DeltaTable, None, None]:
        """The table's newest version, for this caller alone.

        Raises:
            TableNotFound: no such table.
        """
        with reported(name):
            table = self._take(name)
        with reported(name):
            yield table
        self._give(name, table)

    def at(self, name: TableName, version: int | str) -> DeltaTable:
        """An earlier version, by number or by an ISO timestamp."""
        with self.latest(name) as table:
            newest = table.version()
            if isinstance(version, str):
                version = _version_at(name, table, version)
        if not 0 <= version <= newest:
            raise StoreError(f"{name} has no version {version}", hint=f"its newest version is {newest}")
        with reported(name):
            return DeltaTable(str(self.folder(name)), version=version)

    def forget(self, name: TableName) -> None:
        """Close what is open of the table."""
        with self._lock:
            self._spare.pop(name, None)

    def _take(self, name: TableName) -> DeltaTable:
        with self._lock:
            spare = self._spare.pop(name, None)
        folder = self.folder(name)
        if spare is not None:
            table, mark = spare
            # A version's file never changes: another one in its place is another table of the same name.
            if _mark(log_file(folder, table.version())) == mark and _advanced(table, folder):
                return table
        if not (folder / "_delta_log").is_dir():
            raise TableNotFound(f"table {name} does not exist", hint=f"in the embedded store {self.home}")
        return DeltaTable(str(folder))

    def _give(self, name: TableName, table: DeltaTable) -> None:
        mark = _mark(log_file(self.folder(name), table.version()))
        if mark is not None:
            with self._lock:
                self._spare[name] = (table, mark)

    def rerun(self, what: str, attempt: Callable[[], Result]) -> Result:
        """Run a write again, on a fresh handle, for as long as others win the race.

        Raises:
            ConflictError: they kept winning; nothing was written.
        """
        for number in range(ATTEMPTS):
            try:
                return attempt()
            except LostRace:
                time.sleep(random.uniform(0, min(0.01 * 2**number, 0.5)))  # noqa: S311 (jitter, not a secret)
        raise ConflictError(f"{what}: others kept writing, {ATTEMPTS} tries were lost", hint="try again")


class LostRace(Exception):
    """Another commit came first: the write must be decided again."""


@contextmanager
def reported(name: TableName) -> Generator[None, None, None]:
    """delta-rs's errors as ours."""
    try:
        yield
    except TableNotFoundError as problem:
        raise TableNotFound(f"table {name} does not exist") from problem
    except (CommitFailedError, DeltaError) as problem:
        raise _translated(name, problem) from problem
    except OSError as problem:
        raise StoreError(f"{name}: {problem}") from problem


_DROPPABLE = "drop the feature from the table, or use a Databricks or Spark store for it"
_FOR_GOOD = (
    "this feature stays: use a Databricks or Spark store for the table, or copy its rows into one that is made with "
    "table_defaults: product"
)
_RACES = ("Failed to commit transaction: 0", "concurrent", "already exists: ", "Version mismatch")


def _translated(name: TableName, problem: DeltaError) -> Exception:
    # Some messages end in a native backtrace.
    text = str(problem).split("\n   0: ", 1)[0].strip()
    if "features required" in text or "nsupported" in text:
        hint = _FOR_GOOD if "ColumnDefaults" in text else _DROPPABLE
        return StoreError(f"{name}: the embedded store can't work with this table: {text}", hint=hint)
    if isinstance(problem, CommitFailedError) and any(each in text for each in _RACES):
        return LostRace(text)
    return StoreError(f"{name}: {text}")


def _advanced(table: DeltaTable, folder: Path) -> bool:
    """Bring an open handle to the newest version; says False where it has to be opened anew."""
    try:
        if log_file(folder, table.version() + 1).exists():
            table.update_incremental()
    except DeltaError:
        return False
    return True


def _version_at(name: TableName, table: DeltaTable, moment: str) -> int:
    # delta-rs's own search gives the first version for any time before it.
    wanted = datetime.fromisoformat(moment)
    times = {int(each["version"]): EPOCH + timedelta(milliseconds=int(each["timestamp"])) for each in table.history()}
    before = [version for version, made in times.items() if made <= wanted]
    if not before:
        raise StoreError(
            f"{name} did not exist at {moment}", hint=f"its oldest known version is of {min(times.values())}"
        )
    return max(before)


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns)


def commit_by(operation: str, *, alone: bool = True) -> CommitProperties:
    """Who commits what (delta-rs's own word if empty); `alone`: only if nobody committed since the version that was
    read."""
    # With 0 retries delta-rs refuses as soon as any other commit came between, instead of judging whether it matters.
    return CommitProperties(
        custom_metadata={"userName": user(), OPERATION: operation}, max_commit_retries=0 if alone else None
    )


def user() -> str:
    """Who commits, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def append(table: DeltaTable, rows: Table, operation: str, *, alone: bool) -> None:
    """Add the rows as one version."""
    write_deltalake(table, rows, mode="append", commit_properties=commit_by(operation, alone=alone))


def overwrite(table: DeltaTable, rows: Table, operation: str) -> None:
    """Put the rows in the place of all others, as one version."""
    write_deltalake(table, rows, mode="overwrite", commit_properties=commit_by(operation))


def replace(tables: DeltaTables, wanted: Declaration, rows: Table | None = None) -> None:
    """Put another table in the place of one that exists, as one version: its history stays, its columns and rows don't.

    With rows, properties and a description follow as a version of their own; those that it had stay, which delta-rs
    can't take back.

    Raises:
        StoreError: it can't be made so.
    """
    folder, partition_by = str(tables.folder(wanted.name)), list(wanted.partition_by)
    if rows is not None:
        made = commit_by("CREATE OR REPLACE TABLE AS SELECT")
        write_deltalake(
            folder, rows, mode="overwrite", schema_mode="overwrite", partition_by=partition_by, commit_properties=made
        )
        _describe(DeltaTable(folder), wanted)
        return
    try:
        _ = DeltaTable.create(
            folder,
            DeltaSchema(delta_fields(wanted.columns)),
            mode="overwrite",
            partition_by=partition_by,
            description=wanted.description or None,
            configuration={FEED: "true", **dict(wanted.properties)},
            raise_if_key_not_exists=False,
            commit_properties=commit_by("CREATE OR REPLACE TABLE"),
        )
    except ValueError as problem:  # no such type
        raise StoreError(f"{wanted.name} can't be made: {problem}") from problem


def _describe(table: DeltaTable, wanted: Declaration) -> None:
    before = table.metadata()
    if missing := {name: value for name, value in wanted.properties.items() if before.configuration.get(name) != value}:
        table.alter.set_table_properties(
            missing, raise_if_not_exists=False, commit_properties=commit_by("SET TBLPROPERTIES")
        )
    if (before.description or "") != wanted.description:
        table.alter.set_table_description(wanted.description, commit_properties=commit_by("CHANGE COMMENT"))


def commit(table: DeltaTable, edit: Edit) -> None:
    """Write the edit as the version that follows the one the table is open at."""
    # Equality of records isn't to be had: delta-rs can't write it into the log.
    required = {each.name for each in arrow_schema(table) if not each.nullable and not DataType.is_nested(each.type)}
    same = [_same(_quoted(target), _quoted(source), target in required) for target, source in edit.match.items()]
    found = " AND ".join([f"s.{_quoted(ACTION)} <> 'insert'", *same])
    values = {_quoted(target): f"s.{_quoted(source)}" for target, source in edit.assign.items()}
    merger = table.merge(
        edit.source,
        found,
        source_alias="s",
        target_alias="t",
        streamed_exec=False,
        commit_properties=commit_by(edit.operation),
    )
    _ = (
        merger.when_matched_update(updates=values, predicate=_is("update"))
        .when_matched_delete(predicate=_is("delete"))
        .when_not_matched_insert(updates=values, predicate=_is("insert"))
        .execute()
    )


def _is(action: str) -> str:
    return f"s.{_quoted(ACTION)} = '{action}'"


def _same(target: str, source: str, required: bool) -> str:
    # The parentheses are needed: IS NOT DISTINCT FROM binds less than AND in DataFusion.
    return f"t.{target} = s.{source}" if required else f"(t.{target} IS NOT DISTINCT FROM s.{source})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def arrow_schema(table: DeltaTable) -> Schema:
    """The table's columns for writing."""
    return without_metadata(table.schema().to_arrow())


def append_schema(table: DeltaTable) -> Schema:
    """The columns of rows to be added: delta-rs itself fills those that are generated."""
    generated = {each.name for each in table.schema().fields if GENERATED in each.metadata}
    return Schema([each for each in arrow_schema(table) if each.name not in generated])


def edit_schema(schema: Schema) -> Schema:
    """The columns of an edit's source: all nullable, since a row to delete has only its key."""
    return nullable(schema)


def rename(tables: DeltaTables, name: TableName, to: TableName) -> None:
    """Give a table another name in its schema.

    Raises:
        TableNotFound: there is no such table.
        SqlError: the new name is taken, or of another schema.
    """
    with tables.latest(name):
        pass
    if (to.catalog, to.schema) != (name.catalog, name.schema):
        raise SqlError(f"{name} can only be renamed within its schema", hint=f"not to {to}")
    if tables.exists(to):
        raise SqlError(f"[TABLE_OR_VIEW_ALREADY_EXISTS] table {to} already exists")
    tables.forget(name)
    tables.forget(to)
    try:
        _ = tables.folder(name).rename(tables.folder(to))
    except OSError as problem:
        raise StoreError(f"{name} can't be renamed to {to}: {problem.strerror}") from problem


@dataclass(frozen=True, slots=True)
class Declaration:
    """A table to be made."""

    name: TableName
    columns: Sequence[Column]
    partition_by: Sequence[str] = ()
    description: str = ""
    properties: Mapping[str, str] = field(default_factory=dict[str, str])


def make(tables: DeltaTables, wanted: Declaration) -> bool:
    """Make the table; says False where there is one already, also when another process was faster."""
    folder = tables.folder(wanted.name)
    if tables.exists(wanted.name):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _ = DeltaTable.create(
            str(folder),
            DeltaSchema(delta_fields(wanted.columns)),
            partition_by=list(wanted.partition_by),
            description=wanted.description or None,
            configuration={FEED: "true", **dict(wanted.properties)},
            raise_if_key_not_exists=False,
            commit_properties=commit_by("CREATE TABLE"),
        )
    except (DeltaError, ValueError) as problem:  # ValueError: no such type
        if tables.exists(wanted.name):
            return False
        with suppress(OSError):
            folder.rmdir()  # unless somebody put something into it
        raise StoreError(f"{wanted.name} can't be made: {problem}") from problem
    except OSError as problem:
        raise StoreError(f"{wanted.name} can't be made: {problem}") from problem
    return True

"""Folders of Parquet or CSV files, a table each: `orders.parquet`, or all files of the folder `orders`. DuckDB reads
and writes them.

Columns of a CSV file are texts, all of them: what they look like would change with their rows. A load writes the whole
file anew and puts it in the place of the old one; rows of a file have no key by which they could be updated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lakeflow_job_meta.errors import DatabaseError, InputError
from lakeflow_job_meta.model.bulk import Span, Totals
from lakeflow_job_meta.pipelines.drivers.base import MARKS, Mark, RemoteColumn, RemoteTable
from lakeflow_job_meta.pipelines.drivers.duck import CONFIG, STAGE, DuckDatabase, DuckLoading, reported
from lakeflow_job_meta.pipelines.drivers.statements import double_quoted
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.stage import Relation
from lakeflow_job_meta.pipelines.types.duck import lake_type

OPTIONS = {"path": ""}
"""What credentials may say: the folder."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of files: how DuckDB reads them, and how it writes them."""

    suffix: str
    reader: str
    writer: str


PARQUET = FileKind(".parquet", "read_parquet({}, union_by_name = true)", "FORMAT parquet, COMPRESSION zstd")
CSV = FileKind(
    ".csv",
    "read_csv({}, all_varchar = true, header = true, union_by_name = true, allow_quoted_nulls = false)",
    "FORMAT csv, HEADER true, FORCE_QUOTE *",
)


def connect(options: Mapping[str, str], kind: FileKind, direction: Direction) -> FileDatabase:
    """Look at the folder; it has to be there.

    Raises:
        DatabaseError: it isn't.
    """
    folder = Path(options["path"])
    if not folder.is_dir():
        raise DatabaseError(f"there is no folder {folder}")
    session = duckdb.connect(":memory:", config=CONFIG)
    _ = session.execute("SET TimeZone='UTC'")
    return FileDatabase(session, folder, kind, direction)


class FileDatabase(DuckDatabase):
    """See base.Database: each table is a view of its files."""

    def __init__(self, session: duckdb.DuckDBPyConnection, folder: Path, kind: FileKind, direction: Direction) -> None:
        super().__init__(session, "main")
        self.folder, self.kind, self.direction = folder, kind, direction

    def files(self, relation: Relation) -> list[str]:
        """The files of a table, in order of their names."""
        alone = self.folder / f"{relation.name}{self.kind.suffix}"
        if alone.is_file():
            return [str(alone)]
        return sorted(str(each) for each in (self.folder / relation.name).glob(f"*{self.kind.suffix}"))

    def table(self, relation: Relation) -> RemoteTable | None:
        made = self.direction is Direction.DL_TO_SINK
        files = self.files(relation)
        if not files:
            return RemoteTable(relation, (), made=True) if made else None
        listed = "[" + ", ".join("'" + each.replace("'", "''") + "'" for each in files) + "]"
        view = f"CREATE OR REPLACE VIEW {self.whole(relation)} AS SELECT * FROM {self.kind.reader.format(listed)}"  # noqa: S608 (quoted)
        _ = self.run(view)
        rows = self.run(f"DESCRIBE {self.whole(relation)}")
        columns = tuple(RemoteColumn(row[0], row[1], lake_type(row[1])) for row in rows)
        return RemoteTable(relation, columns, made=made)

    def totals(self, table: RemoteTable, key: str | None, span: Span | None = None) -> Totals:
        return super().totals(table, key, span) if table.columns else Totals(0)

    def lacking(self, relation: Relation, direction: Direction) -> Sequence[str]:
        writes = direction is Direction.DL_TO_SINK and not os.access(self.folder, os.W_OK)
        return [f"writing to {self.folder}"] if writes else []

    def mark(self, relation: Relation) -> Mark | None:
        path = self.marks(relation)
        return Mark(**json.loads(path.read_text("utf-8"))) if path.is_file() else None

    def marks(self, relation: Relation) -> Path:
        """The file that says how far a table is loaded."""
        return self.folder / MARKS / f"{relation.name}.json"

    @contextmanager
    def loading(self, table: RemoteTable) -> Generator[FileLoading, None, None]:
        loading = FileLoading(self, table)
        yield loading
        loading.commit()


def _into_place(written: Path, target: Path) -> None:
    _ = written.replace(target)


class FileLoading(DuckLoading):
    """See base.Loading: a file is written beside the old one, and takes its place at the end."""

    def __init__(self, database: FileDatabase, table: RemoteTable) -> None:
        super().__init__(database, table)
        self._files = database
        self._last: list[Callable[[], None]] = []

    def swap(self) -> None:
        relation, kind = self.table.relation, self._files.kind
        target = self._files.folder / f"{relation.name}{kind.suffix}"
        written = target.with_name(f".{target.name}.{os.getpid()}.part")
        names = ", ".join(double_quoted(each) for each in self._columns)
        path = str(written).replace("'", "''")
        with reported():
            _ = self._files.session.execute(f"COPY (SELECT {names} FROM {STAGE}) TO '{path}' ({kind.writer})")  # noqa: S608
        self._last.append(lambda: _into_place(written, target))

    def upsert(self, key: Sequence[str], span: Span | None = None) -> None:
        raise InputError("rows of a file have no key by which they could be updated", hint="load the table full")

    def note(self, mark: Mark) -> None:
        row = mark.row("")
        del row["sink_table"]
        path = self._files.marks(self.table.relation)

        def write() -> None:
            path.parent.mkdir(exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(row), "utf-8")
            part.replace(path)

        self._last.append(write)

    def commit(self) -> None:
        """Put what was written into its place."""
        try:
            for each in self._last:
                each()
        except OSError as problem:
            raise DatabaseError(f"{self._files.folder}: {problem.strerror}") from problem

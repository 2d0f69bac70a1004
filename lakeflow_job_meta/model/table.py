"""Tables as data: names, columns, whole declarations, and what a store tells about a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lakeflow_job_meta.diagnostics import errors_in
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.layout import Layout
from lakeflow_job_meta.model.schema_file import IDENTIFIER, SchemaReader, TableFile

__all__ = [
    "Changes", "Column", "Commit", "Row", "RowChange", "Snapshot", "TableInfo", "TableName", "TableSpec",
]  # fmt: skip

Row = Mapping[str, Any]
"""One table row: column name to Python value; timestamps are aware datetimes in UTC."""


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A three-part name, `catalog.schema.table`; compared without regard to case, as Unity Catalog does.

    >>> TableName.parse("main.`etl`.control")
    TableName(catalog='main', schema='etl', name='control')
    """

    catalog: str
    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read `catalog.schema.table`; backticks are allowed, anything that isn't an identifier is refused.

        Raises:
            InputError: not three parts, or a part that isn't letters, digits and underscores.
        """
        parts = [part[1:-1] if len(part) > 2 and part[0] == part[-1] == "`" else part for part in text.split(".")]
        if len(parts) != 3:
            raise InputError(f"'{text}' is not a table name", hint="write it as catalog.schema.table")
        for part in parts:
            if not IDENTIFIER.fullmatch(part):
                raise InputError(
                    f"'{part}' in table name '{text}' is not an identifier",
                    hint="use letters, digits and underscores, not starting with a digit",
                )
        return cls(*(part.lower() for part in parts))

    def sibling(self, suffix: str) -> TableName:
        """The table beside this one whose name ends in `_suffix`: `control` → `control_jobs`."""
        return replace(self, name=f"{self.name}_{suffix}")

    def __str__(self) -> str:
        return f"{self.catalog}.{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table as declared: what a store needs to make it, and what a write needs to know its rows apart.

    `cluster_by` is what the engine is asked to lay rows out by; where it can't cluster the table, the table's files are
    Z-ordered by it.
    """

    name: TableName
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    description: str = ""
    schema_version: int = 1
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    cluster_by: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @classmethod
    def from_json(cls, name: TableName, data: Any) -> TableSpec:
        """A schema file's content: a list of fields, or an object with `fields` and what concerns the table.

        Raises:
            InputError: with all that is wrong with it.
        """
        reader = SchemaReader()
        file = reader.table(data)
        layout = Layout.of(
            file.columns,
            file.partition_by,
            file.cluster_by,
            lambda what, position, message, hint: reader.find(f"{what}: {message}", (what, position), hint),
        )
        if wrong := errors_in(reader.found):
            raise InputError(f"the schema of {name} can't be used", diagnostics=wrong)
        return cls.of(name, file, layout)

    @classmethod
    def of(cls, name: TableName, file: TableFile, layout: Layout) -> TableSpec:
        """The declaration that a schema file makes, laid out as it is to be."""
        return cls(
            name,
            layout.columns,
            key=file.key,
            partition_by=layout.partition_by,
            description=file.description,
            schema_version=file.schema_version,
            cluster_by=layout.cluster_by,
        )


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table as a store finds it now; `ask_columns` gives its columns, for which a store may have to ask again.

    `tells_required` is whether the engine says which columns are REQUIRED.
    """

    name: TableName
    table_id: str
    version: int
    properties: Mapping[str, str]
    ask_columns: Callable[[], tuple[Column, ...]] = field(repr=False, compare=False)
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    description: str = ""
    tells_required: bool = True

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.ask_columns()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All (asked-for) rows of one version of a table."""

    table_id: str
    version: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """One write, decided on one snapshot: full rows to insert or replace by key, and keys of rows to delete."""

    upserts: tuple[Row, ...] = ()
    deletes: tuple[Row, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.upserts or self.deletes)


@dataclass(frozen=True, slots=True)
class Commit:
    """One version in a table's history."""

    version: int
    timestamp: datetime
    operation: str
    user: str = ""


@dataclass(frozen=True, slots=True)
class RowChange:
    """What the change feed says of one key between two versions, net: before is None for a new row, after for a
    removed one."""

    key: tuple[Any, ...]
    before: Row | None
    after: Row | None
    version: int
    timestamp: datetime

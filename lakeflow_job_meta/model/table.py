"""Tables as data: names, columns, whole declarations, and what a store tells about a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from lakeflow_job_meta.errors import InputError

Row = Mapping[str, Any]
"""One table row: column name to Python value; timestamps are aware datetimes in UTC."""

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
TYPES = {
    "STRING": "STRING", "TEXT": "STRING", "INT": "INT", "INTEGER": "INT", "BIGINT": "BIGINT", "INT64": "BIGINT",
    "LONG": "BIGINT", "SMALLINT": "SMALLINT", "DOUBLE": "DOUBLE", "FLOAT64": "DOUBLE", "FLOAT": "FLOAT",
    "BOOLEAN": "BOOLEAN", "BOOL": "BOOLEAN", "TIMESTAMP": "TIMESTAMP", "DATE": "DATE", "BINARY": "BINARY",
}  # fmt: skip
MODES = ("NULLABLE", "REQUIRED", "REPEATED")


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
class Column:
    """One column of a declaration; `default` is a SQL expression (`true`, `'x'`, `current_timestamp()`)."""

    name: str
    type: str
    mode: str = "NULLABLE"
    description: str = ""
    default: str | None = None

    @property
    def required(self) -> bool:
        return self.mode == "REQUIRED"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """One field of a schema file: name, type, mode, description, default.

        Raises:
            InputError: a type or mode that isn't known, or a name that isn't an identifier.
        """
        name, kind, mode = str(data["name"]), str(data["type"]).upper(), str(data.get("mode", "NULLABLE")).upper()
        if not IDENTIFIER.fullmatch(name):
            raise InputError(f"column name '{name}' is not an identifier")
        if kind not in TYPES:
            raise InputError(f"column {name}: unknown type {kind}", hint="known: " + ", ".join(sorted(TYPES)))
        if mode not in MODES:
            raise InputError(f"column {name}: unknown mode {mode}", hint="known: " + ", ".join(MODES))
        return cls(name, TYPES[kind], mode, str(data.get("description", "")), cast("str | None", data.get("default")))


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table as declared: what a store needs to make it, and what a write needs to know its rows apart."""

    name: TableName
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    description: str = ""
    schema_version: int = 1
    properties: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @classmethod
    def from_json(cls, name: TableName, data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> TableSpec:
        """A schema file's content: a list of fields, or an object with `fields` and what concerns the table."""
        whole: Mapping[str, Any] = data if isinstance(data, Mapping) else {"fields": data}
        return cls(
            name,
            tuple(Column.from_json(each) for each in whole["fields"]),
            key=tuple(whole.get("key", ())),
            partition_by=tuple(whole.get("partition_by", ())),
            description=str(whole.get("description", "")),
            schema_version=int(whole.get("schema_version", 1)),
        )


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table as a store finds it now; `ask_columns` gives its columns, for which a store may have to ask again."""

    name: TableName
    table_id: str
    version: int
    properties: Mapping[str, str]
    ask_columns: Callable[[], tuple[Column, ...]] = field(repr=False, compare=False)

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

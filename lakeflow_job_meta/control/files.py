"""Which file last wrote which row: the rows of `{control_table}_files` as objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from lakeflow_job_meta.model.table import Row

RowKey = tuple[str, str]
"""(module_name, source_id); the source_id of a module's own row is empty."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file's claim on a row. `sha256` is None once the file stopped declaring the row and it was deactivated."""

    root: str
    path: str
    module_name: str
    source_id: str
    sha256: str | None
    loaded_at: datetime | None
    fingerprint: str | None

    @property
    def key(self) -> RowKey:
        return (self.module_name, self.source_id)

    @property
    def place(self) -> str:
        """The file as an absolute path: the same file, whether it was loaded by itself or with a folder above it."""
        return place_of(self.root, self.path)

    @property
    def released(self) -> bool:
        """Whether the file has let go of the row."""
        return self.sha256 is None

    @classmethod
    def from_row(cls, row: Row) -> FileRecord:
        return cls(**{each.name: row.get(each.name) for each in fields(cls)})  # pyright: ignore[reportArgumentType] - a table's row, held by its schema

    def to_row(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


def place_of(root: str, path: str) -> str:
    """A file below a root as an absolute path.

    >>> place_of("/", "m.yml"), place_of("/srv/meta", "a/m.yml")
    ('/m.yml', '/srv/meta/a/m.yml')
    """
    return f"{root.rstrip('/')}/{path}"


def newest_by_key(records: Iterable[FileRecord]) -> dict[RowKey, FileRecord]:
    """The last claim on each row, where several files made one."""
    newest: dict[RowKey, FileRecord] = {}
    for record in records:
        other = newest.get(record.key)
        if other is None or age(record) > age(other):
            newest[record.key] = record
    return newest


def age(record: FileRecord) -> float:
    """When the claim was made, in seconds since 1970: the greater, the newer."""
    return record.loaded_at.timestamp() if record.loaded_at is not None else 0.0

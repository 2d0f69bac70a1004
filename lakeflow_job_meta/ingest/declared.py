"""What files declare, as rows that know their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakeflow_job_meta.control.files import RowKey
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, Path
from lakeflow_job_meta.reader.document import Document

SOURCE_COLUMNS = (
    "source_type",
    "execution_order",
    "source_config",
    "target_config",
    "transformation_config",
    "is_active",
)
"""What a file can say of a source, beside its key."""

MODULE_COLUMNS = ("description", "job_config", "is_active")
"""What a file can say of a module, beside its name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a document something is declared."""

    document: Document
    path: Path

    def at(self, *path: str | int, key: bool = False) -> FileLocation:
        """The place of a part of it."""
        return self.document.position((*self.path, *path), key=key)


@dataclass(frozen=True, slots=True)
class DeclaredRow:
    """One row as a file declares it: of the control table, or (with an empty source_id) of its modules table.

    `doubts` are findings about what the row holds, which don't keep it from being a row. A module that says nothing
    but its name is not `explicit`: it needs no row.
    """

    key: RowKey
    values: Mapping[str, Any]
    place: Place
    doubts: tuple[tuple[str, Diagnostic], ...] = ()
    explicit: bool = True

    @property
    def name(self) -> str:
        return "/".join(part for part in self.key if part)


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """One file: what it declares and what is wrong with it. Rows of a file with errors are incomplete.

    `other_kind` is the key that says that it isn't a modules file, but one that something else reads.
    """

    name: str
    relative: str
    sha256: str
    rows: tuple[DeclaredRow, ...]
    findings: tuple[Diagnostic, ...]
    other_kind: str = ""

    @property
    def modules(self) -> dict[str, DeclaredRow]:
        """The modules by name."""
        return {row.key[0]: row for row in self.rows if not row.key[1]}

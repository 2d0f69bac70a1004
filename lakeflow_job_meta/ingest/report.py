"""What a load did: data that prints well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.control.files import RowKey
from lakeflow_job_meta.diagnostics import Diagnostic, counted

SHOWN = 20
"""Rows that a printed report names of each kind, before it only counts; `to_dict` has them all."""


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row and the columns in which the file and the table differed; `edited_at` is the row's updated_timestamp.

    Without columns the row was deleted from the table since the file wrote it.
    """

    key: RowKey
    columns: tuple[str, ...]
    edited_at: datetime | None = None

    def __str__(self) -> str:
        what = ", ".join(self.columns) or "deleted in the table"
        when = f" (edited {self.edited_at:%Y-%m-%d %H:%M:%S} UTC)" if self.edited_at else ""
        return f"{name_of(self.key)}: {what}{when}"

    def to_dict(self) -> dict[str, Any]:
        edited = self.edited_at.isoformat() if self.edited_at else None
        return {**_key_fields(self.key), "columns": list(self.columns), "edited_at": edited}


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What one load did to the rows of the control table and its modules table.

    The kinds don't overlap: a row whose direct edit was overwritten is not also in `changed`. A module's own row has
    an empty source_id.

    >>> print(LoadReport("m.yml", files=("m.yml",), added=(("shop", "orders"),), unchanged=2))
    m.yml: 1 file, 1 row added, 2 unchanged
      + shop/orders
    """

    path: str
    files: tuple[str, ...] = ()
    added: tuple[RowKey, ...] = ()
    changed: tuple[ChangedRow, ...] = ()
    unchanged: int = 0
    overwritten: tuple[ChangedRow, ...] = ()
    kept: tuple[ChangedRow, ...] = ()
    deactivated: tuple[RowKey, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    control_version: int | None = None

    @property
    def wrote(self) -> bool:
        """Whether any row was written."""
        return bool(self.added or self.changed or self.overwritten or self.deactivated)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "path": self.path,
            "files": list(self.files),
            "added": [_key_fields(key) for key in self.added],
            "changed": [row.to_dict() for row in self.changed],
            "unchanged": self.unchanged,
            "overwritten": [row.to_dict() for row in self.overwritten],
            "kept": [row.to_dict() for row in self.kept],
            "deactivated": [_key_fields(key) for key in self.deactivated],
            "warnings": [each.to_dict() for each in self.warnings],
            "control_version": self.control_version,
        }

    def __str__(self) -> str:
        counts = [
            f"{len(rows)} {what}"
            for rows, what in (
                (self.added, "added"),
                (self.changed, "changed"),
                (self.overwritten, "overwritten"),
                (self.kept, "kept as edited"),
                (self.deactivated, "deactivated"),
            )
            if rows
        ]
        if self.unchanged or not counts:
            counts.append(f"{self.unchanged} unchanged")
        first, _, rest = counts[0].partition(" ")
        counts[0] = f"{counted(int(first), 'row')} {rest}"
        lines = [f"{self.path}: {', '.join([counted(len(self.files), 'file'), *counts])}"]
        lines += _listed("+", (name_of(key) for key in self.added))
        lines += _listed("~", (str(row) for row in self.changed))
        lines += _listed("!", (f"{row} – overwritten" for row in self.overwritten))
        lines += _listed("=", (f"{row} – kept" for row in self.kept))
        lines += _listed("-", (f"{name_of(key)} (is_active = false)" for key in self.deactivated))
        lines += [f"  {each}" for each in self.warnings]
        return "\n".join(lines)


def name_of(key: RowKey) -> str:
    """A row as people write it: `module/source`, and the module's own row by what it holds."""
    return "/".join(key) if key[1] else f"{key[0]} (module settings)"


def _key_fields(key: RowKey) -> dict[str, str]:
    return {"module_name": key[0], "source_id": key[1]}


def _listed(sign: str, rows: Iterable[str]) -> list[str]:
    lines = [f"  {sign} {row}" for row in rows]
    more = len(lines) - SHOWN
    return lines if more <= 0 else [*lines[:SHOWN], f"  {sign} … and {more} more"]

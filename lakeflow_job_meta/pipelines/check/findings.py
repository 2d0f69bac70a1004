"""Findings that know which row they concern, so that a bad row stops only what depends on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, RowLocation, Severity, nearest
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, RUNS, SOURCES, STAGE_LOGS, STAGES, TABLES, RegistryTables

Location = FileLocation | RowLocation
Locate = Callable[[str, int, str], Location]
"""Where the value of a column stands, by the kind of table and the row's position."""

NAMED_BY: Mapping[str, Sequence[str]] = {
    TABLES: ("source_tablename",),
    SOURCES: ("source_name",),
    DESTINATIONS: ("destination_name",),
    STAGES: ("pipeline_name", "stage_order"),
    RUNS: ("id",),
    STAGE_LOGS: ("id",),
}
"""The columns that people know a row by."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one row; `direction` where it concerns one half of it."""

    kind: str
    position: int
    diagnostic: Diagnostic
    direction: Direction | None = None

    @property
    def is_error(self) -> bool:
        return self.diagnostic.severity is Severity.ERROR


@dataclass(slots=True)
class Report:
    """Collects findings."""

    locate: Locate
    found: list[Finding] = field(default_factory=list[Finding])

    def of(self, kind: str, position: int, row: Row) -> RowReport:
        """A reporter for one row."""
        return RowReport(self, kind, position, row)


@dataclass(frozen=True, slots=True)
class RowReport:
    """Collects the findings of one row."""

    report: Report
    kind: str
    position: int
    row: Row

    def add(
        self,
        column: str,
        message: str,
        hint: str = "",
        *,
        direction: Direction | None = None,
        severity: Severity = Severity.ERROR,
    ) -> None:
        """One finding about a column."""
        where = self.report.locate(self.kind, self.position, column)
        said = Diagnostic(f"{column}: {message}", where, hint, severity)
        self.report.found.append(Finding(self.kind, self.position, said, direction))

    def text(self, column: str, *, required: bool = True) -> str:
        """The text in a column; empty, with a finding, where there is none but should be."""
        value = self.row.get(column)
        if value is not None and str(value).strip():
            return str(value)
        if required or value is not None:
            self.add(column, "expected text, found nothing" if value is None else "expected text, found blanks")
        return ""

    def choice(self, column: str, known: Collection[str], *, direction: Direction | None = None) -> str:
        """The text in a column, which is one of several; empty, with a finding, where it is something else."""
        value = self.row.get(column)
        if isinstance(value, str) and value in known:
            return value
        found = "nothing" if value is None else f"'{value}'"
        hint = nearest(str(value or ""), known) or "known: " + ", ".join(known)
        self.add(column, f"expected one of {', '.join(known)}, found {found}", hint, direction=direction)
        return ""


def at_row(rows: Mapping[str, Sequence[Row]], tables: RegistryTables) -> Locate:
    """Places in the tables themselves."""

    def locate(kind: str, position: int, column: str) -> RowLocation:
        return RowLocation(tables.names[kind], row_name(kind, rows[kind][position]), column=column)

    return locate


def row_name(kind: str, row: Row) -> str:
    """How people call a row: by its name, or by its id where it has none.

    >>> row_name("pipeline_stages", {"pipeline_name": "default", "stage_order": 2})
    'default/2'
    """
    parts = [_shown(row.get(column)) for column in NAMED_BY[kind]]
    return "/".join(part for part in parts if part) or f"id {row.get('id')}"


def report_doubles(report: Report, kind: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """A finding for each row whose value in these columns another row has too."""
    seen: dict[tuple[Any, ...], list[int]] = {}
    for position, row in enumerate(rows):
        key = tuple(row.get(column) for column in columns)
        if all(value is not None for value in key):
            seen.setdefault(key, []).append(position)
    for key, positions in seen.items():
        for position in positions if len(positions) > 1 else ():
            said = ", ".join(f"'{each}'" if isinstance(each, str) else str(each) for each in key)
            what = f"{said} is there {_times(len(positions))}, expected unique {' and '.join(columns)}"
            report.of(kind, position, rows[position]).add(columns[-1], what, "rename or delete one of them")


def _times(number: int) -> str:
    return "twice" if number == 2 else f"{number} times"


def _shown(value: Any) -> str:
    return "" if value is None else str(value).strip()

"""Findings about what a person wrote: where, what was found, what was expected.

Everything that checks user input returns *all* its findings as a list of `Diagnostic`; only the outermost caller
decides whether to raise. This module knows nothing of files, tables or the rest of the package.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

Path = tuple[str | int, ...]
"""Where in a nested value a finding lies: keys and list positions, outermost first."""


class Severity(StrEnum):
    """How bad a finding is: an error stops what it concerns, a warning doesn't."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A place in a text file; line and column count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class RowLocation:
    """A place in a table: `source` is empty for a module's own row, `offset` counts characters from 0."""

    table: str
    module: str = ""
    source: str = ""
    column: str = ""
    path: Path = field(default=())
    offset: int | None = None

    def __str__(self) -> str:
        text = "/".join(part for part in (self.table, self.module, self.source, self.column) if part)
        if self.path:
            text += f" at {dotted(self.path)}"
        return text if self.offset is None else f"{text} at offset {self.offset}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    >>> print(Diagnostic("unknown key 'task_typ'", FileLocation("m.yml", 4, 7), hint="did you mean 'task_type'?"))
    m.yml:4:7: error: unknown key 'task_typ' (did you mean 'task_type'?)
    """

    message: str
    location: FileLocation | RowLocation | None = None
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location is not None else ""
        return f"{where}{self.severity}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def to_dict(self) -> dict[str, str]:
        """The finding as JSON-ready text fields."""
        return {
            "severity": str(self.severity),
            "message": self.message,
            "location": str(self.location or ""),
            "hint": self.hint,
        }


def errors_in(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those of the findings that are errors."""
    return [each for each in found if each.severity is Severity.ERROR]


def dotted(path: Path) -> str:
    """A path as people write it.

    >>> dotted(("tasks", 0, "sql_task"))
    'tasks[0].sql_task'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def counted(number: int, what: str) -> str:
    """A number of things, as people say it.

    >>> counted(1, "row"), counted(0, "row")
    ('1 row', '0 rows')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like this one, as a hint ready to print; empty where none is near.

    >>> nearest("shedule", ["schedule", "tags"])
    "did you mean 'schedule'?"
    """
    by_folded = {each.lower(): each for each in known}
    match = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f"did you mean '{by_folded[match[0]]}'?" if match else ""

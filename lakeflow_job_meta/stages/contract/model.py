"""A contract as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALWAYS, BOOTSTRAP, PREVIEW = WHEN = ("always", "bootstrap", "preview")
ENVELOPE = ("execution_id", "batch_id", "contract_version", "correlation_id", "started_at", "finished_at")
"""What each batch tells of itself, in the rows of log.source."""

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version. major: consumers must change; minor: there is more; patch: only words changed."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version, None where the text is none.

        >>> print(Version.parse("1.2.3"), Version.parse("1.2"))
        1.2.3 None
        """
        found = _VERSION.fullmatch(text)
        return cls(*map(int, found.groups())) if found else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class ContractColumn:
    """A column, and what its values keep to. `least` and `most` bound numbers; `json` says that the text is JSON."""

    name: str
    type: str
    required: bool = False
    description: str = ""
    allowed: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    pattern: str = ""
    json: bool = False


@dataclass(frozen=True, slots=True)
class ContractTable:
    """A table that the stage promises; `when` says which runs write it, `freshness` how old it may be in hours."""

    name: str
    columns: tuple[ContractColumn, ...]
    when: str = ALWAYS
    unique: tuple[tuple[str, ...], ...] = ()
    least_rows: int | None = None
    most_rows: int | None = None
    freshness_column: str = ""
    freshness_hours: float | None = None

    @property
    def short(self) -> str:
        """The table's own name: `source.config` → `config`."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Contract:
    """A whole contract. `complete` maps a column that counts (`source.portfolio.total_endpoints`) to the table whose
    rows it counts."""

    name: str
    version: Version
    tables: tuple[ContractTable, ...]
    complete: Mapping[str, str] = field(default_factory=dict[str, str])
    envelope: tuple[str, ...] = ENVELOPE
    handoff_table: str = "log.source"
    handoff_hours: float = 24.0

    def table(self, short: str) -> ContractTable | None:
        """The table by its own name, without regard to case."""
        return next((each for each in self.tables if each.short.lower() == short.lower()), None)

"""Which version of its declaration one of our tables is of, and whether it may be read or written as it is. Pure.

Versions of the schema, not of the rows: a table property, noted when the table is made and as the last step of each
migration. Tables of an older version are read, and not written: their writer would miss what the newer ones hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lakeflow_job_meta.diagnostics import Diagnostic, Severity
from lakeflow_job_meta.errors import StoreError
from lakeflow_job_meta.model.table import TableInfo, TableName, TableSpec
from lakeflow_job_meta.store.base import SCHEMA_VERSION

MIGRATE = "`ljm migrate` shows what there is to do, and does it"
UPGRADE = "upgrade lakeflow-job-meta here, or undo the migration: DESCRIBE HISTORY tells the version before it"


@dataclass(frozen=True, slots=True)
class Standing:
    """The schema version that a table has (None: it doesn't say), the one that this product writes, and the declared
    columns that the table lacks; one that says that it has this product's version is taken at its word."""

    table: TableName
    found: int | None
    wanted: int
    lacking: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: TableSpec, info: TableInfo) -> Standing:
        """How a table stands to its declaration."""
        text = info.properties.get(SCHEMA_VERSION, "")
        found = int(text) if text.isdecimal() else None
        if found == spec.schema_version:
            return cls(spec.name, found, spec.schema_version)  # its columns needn't be asked for
        present = {column.name.lower() for column in info.columns}
        lacking = tuple(name for name in spec.column_names if name.lower() not in present)
        return cls(spec.name, found, spec.schema_version, lacking)

    @property
    def newer(self) -> bool:
        return self.found is not None and self.found > self.wanted

    @property
    def older(self) -> bool:
        """Whether there is something to migrate before it may be written; a table that doesn't tell its version is
        taken for what its columns say."""
        return self.found < self.wanted if self.found is not None else bool(self.lacking)

    def __str__(self) -> str:
        if self.found is None:
            lacks = f", and lacks {', '.join(self.lacking)}" if self.lacking else ""
            return f"{self.table} doesn't tell its schema version (the property {SCHEMA_VERSION}){lacks}"
        return f"{self.table} has schema version {self.found}, this product writes {self.wanted}"


def refuse_newer(standings: Iterable[Standing]) -> None:
    """Refuse tables that a later version of this product made or migrated.

    Raises:
        StoreError: there is one.
    """
    if newer := [each for each in standings if each.newer]:
        raise StoreError("; ".join(map(str, newer)), hint=UPGRADE)


def refuse_others(standings: Iterable[Standing]) -> None:
    """Refuse to write where a table is of another schema version than this product's.

    Raises:
        StoreError: there is one.
    """
    standings = list(standings)
    refuse_newer(standings)
    if older := [each for each in standings if each.older]:
        raise StoreError("; ".join(map(str, older)), hint=MIGRATE)


def warnings(standings: Iterable[Standing]) -> tuple[Diagnostic, ...]:
    """What people who only read are told of tables that can't be written yet."""
    return tuple(
        Diagnostic(f"{each}: nothing is written before it is migrated", hint=MIGRATE, severity=Severity.WARNING)
        for each in standings
        if each.older
    )

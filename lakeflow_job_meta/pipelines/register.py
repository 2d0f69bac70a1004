"""Putting declared rows into the registry: all or nothing, touching only rows that differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, counted, errors_in
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.json_text import same
from lakeflow_job_meta.model.table import Changes, Row, Snapshot
from lakeflow_job_meta.pipelines.check import check_registry
from lakeflow_job_meta.pipelines.check.findings import NAMED_BY, Location, row_name
from lakeflow_job_meta.pipelines.registry import DEFAULT_TYPE
from lakeflow_job_meta.pipelines.registry_file import FLAGS, Declared, DeclaredRow
from lakeflow_job_meta.pipelines.tables import (
    DESTINATIONS,
    ENDPOINTS,
    REGISTERED,
    SOURCES,
    STAGES,
    TABLES,
    RegistryRows,
    RegistryTables,
)
from lakeflow_job_meta.store.base import TableStore

WRITTEN = (SOURCES, DESTINATIONS, STAGES, TABLES)
"""In this order: what is referred to comes first."""

TYPES = ("source_type", "sink_type")
Key = tuple[Any, ...]


@dataclass(slots=True)
class RegisterReport:
    """What became of rows, by table: names of rows."""

    added: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    changed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    deleted: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    unchanged: int = 0
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def wrote(self) -> bool:
        """Whether any row was written."""
        return bool(self.added or self.changed or self.deleted)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "added": self.added,
            "changed": self.changed,
            "deleted": self.deleted,
            "unchanged": self.unchanged,
            "warnings": [each.to_dict() for each in self.warnings],
        }

    def __str__(self) -> str:
        kinds = (("+", "added", self.added), ("~", "changed", self.changed), ("x", "deleted", self.deleted))
        numbers = [(sum(map(len, rows.values())), what) for _, what, rows in kinds]
        counts = [f"{number} {what}" for number, what in numbers if number]
        if self.unchanged or not counts:
            counts.append(f"{self.unchanged} unchanged")
        first, _, rest = counts[0].partition(" ")
        lines = [", ".join([f"{counted(int(first), 'row')} {rest}", *counts[1:]])]
        for sign, _, rows in kinds:
            lines += [f"  {sign} {kind}/{name}" for kind, names in rows.items() for name in names]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Registering:
    """Puts declared rows into one registry.

    Args:
        store: where it is.
        tables: its tables.
        lake_schema: where the tables between source and sink are.
        new_id: makes the id of a new source or destination.
        now: when rows are made.
    """

    store: TableStore
    tables: RegistryTables
    lake_schema: str
    new_id: Callable[[], str]
    now: datetime

    def put(
        self, declared: Declared, findings: Sequence[Diagnostic] = (), before: Callable[[], object] = lambda: None
    ) -> RegisterReport:
        """Write what differs.

        Args:
            declared: the rows.
            findings: what is wrong with their files already.
            before: called when all is well, before anything is written.

        Raises:
            InputError: with every finding; nothing was written.
        """
        self.tables.ensure(self.store)
        present = self.tables.read(self.store)
        ids = {
            (row.kind, key_of(row.kind, row.values)): self.new_id() for row in declared.rows if row.kind in ENDPOINTS
        }
        merged = {kind: _Merged.of(kind, present[kind], declared, ids, self.now) for kind in REGISTERED}
        found = [*findings, *_doubled(declared), *self._check(merged)]
        if errors_in(found):
            raise InputError("nothing was registered", diagnostics=found)
        before()
        report = RegisterReport(warnings=tuple(found))
        for kind in WRITTEN:
            self._write(kind, declared, ids, merged[kind], report)
        return report

    def _check(self, merged: Mapping[str, _Merged]) -> list[Diagnostic]:
        """Findings about the registry as it would be; those about rows that nobody declares now are warnings."""
        rows: RegistryRows = {kind: tuple(row for row, _ in each.rows) for kind, each in merged.items()}

        def locate(kind: str, position: int, column: str) -> Location:
            row, declared = merged[kind].rows[position]
            if declared is not None:
                return declared.locate(column)
            return RowLocation(self.tables.names[kind], row_name(kind, row), column=column)

        found: list[Diagnostic] = []
        for each in check_registry(rows, self.tables, self.lake_schema, locate):
            said = each.diagnostic
            if merged[each.kind].rows[each.position][1] is None:
                said = Diagnostic(said.message, said.location, said.hint, Severity.WARNING)
            found.append(said)
        return found

    def _write(
        self, kind: str, declared: Declared, ids: Mapping[Any, str], merged: _Merged, report: RegisterReport
    ) -> None:
        report.unchanged += merged.unchanged
        if not merged.changes:
            return

        def decide(snapshot: Snapshot) -> Changes:
            return _Merged.of(kind, snapshot.rows, declared, ids, self.now).changes

        self.store.transact(self.tables.spec(kind), decide)
        for into, names in ((report.added, merged.added), (report.changed, merged.changed)):
            if names:
                into[kind] = names
        if kind == STAGES and merged.deletes:
            report.deleted[kind] = [row_name(kind, row) for row in merged.deletes]


@dataclass(frozen=True, slots=True)
class _Merged:
    """One table as it would be: its rows, each with its declaration if it has one, and what has to be written."""

    rows: list[tuple[Row, DeclaredRow | None]]
    upserts: list[Row]
    deletes: list[Row]
    added: list[str]
    changed: list[str]
    unchanged: int

    @property
    def changes(self) -> Changes:
        return Changes(tuple(self.upserts), tuple(self.deletes))

    @classmethod
    def of(
        cls, kind: str, present: Sequence[Row], declared: Declared, ids: Mapping[Any, str], now: datetime
    ) -> _Merged:
        wanted = {key_of(kind, each.values): each for each in declared.of(kind)}
        merged = cls([], [], [], [], [], 0)
        unchanged = 0
        for row in present:
            each = wanted.pop(key_of(kind, row), None)
            if each is None and kind == STAGES and row.get("pipeline_name") in declared.templates:
                merged.deletes.append(row)
                continue
            after = {**row, **_with_types(each.values)} if each is not None else row
            merged.rows.append((after, each))
            if each is None:
                continue
            if _same(row, _with_types(each.values)):
                unchanged += 1
                continue
            merged.upserts.append(after)
            merged.changed.append(row_name(kind, row))
            if after.get("id") != row.get("id"):
                merged.deletes.append(row)
        number = (
            max((int(row["id"]) for row in present if row.get("id") is not None), default=0) if kind == STAGES else 0
        )
        for key, each in wanted.items():
            number += 1
            row = {**_defaults(kind, ids.get((kind, key), ""), number, now), **_given(each.values)}
            merged.rows.append((row, each))
            merged.upserts.append(row)
            merged.added.append(row_name(kind, row))
        return cls(merged.rows, merged.upserts, merged.deletes, merged.added, merged.changed, unchanged)


def key_of(kind: str, row: Row) -> Key:
    """What a row is known by, whoever declares it."""
    return tuple(row.get(column) for column in NAMED_BY[kind])


def _defaults(kind: str, identity: str, number: int, now: datetime) -> dict[str, Any]:
    if kind in ENDPOINTS:
        return {"id": identity, "created_at": now}
    if kind == STAGES:
        return {"id": number}
    return {**dict.fromkeys(TYPES, DEFAULT_TYPE), **dict.fromkeys(FLAGS, True)}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left out and has a default."""
    return {name: value for name, value in values.items() if value is not None}


def _with_types(values: Mapping[str, Any]) -> dict[str, Any]:
    """With the type that is meant where none is said."""
    return {name: DEFAULT_TYPE if name in TYPES and value is None else value for name, value in values.items()}


def _same(row: Row, values: Mapping[str, Any]) -> bool:
    present = _with_types(row)
    return all(
        same(present.get(name), value) if name.endswith("_creds") else present.get(name) == value
        for name, value in values.items()
    )


def _doubled(declared: Declared) -> list[Diagnostic]:
    """Rows that are declared twice; which of the two is meant, nobody knows."""
    first: dict[tuple[str, Key], DeclaredRow] = {}
    found: list[Diagnostic] = []
    for row in declared.rows:
        key = (row.kind, key_of(row.kind, row.values))
        column = NAMED_BY[row.kind][-1]
        if key in first:
            hint = f"the first is at {first[key].locate(column)}"
            found.append(Diagnostic(f"{row_name(row.kind, row.values)} is declared twice", row.locate(column), hint))
        first.setdefault(key, row)
    return found

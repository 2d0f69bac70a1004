"""The registry's dialect of YAML: sources, destinations, templates and tables, with every finding about their shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.compile.findings import type_name
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.diagnostics import Path as ValuePath
from lakeflow_job_meta.ingest.fields import Fields, Findings
from lakeflow_job_meta.pipelines.check.findings import Location
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, ENDPOINTS, SOURCES, STAGES, TABLES
from lakeflow_job_meta.reader.document import Document

VERSION_KEY, VERSIONS = "registry_version", ("1.0", "1", 1, 1.0)
FILE_KEYS = (VERSION_KEY, "sources", "destinations", "templates", "tables")
STAGE_KEYS = ("stage_order", "stage_name", "stage_type", "driver_container")
MOST_MINUTES = 10 * 366 * 24 * 60

TEXTS, NUMBERS, FLAGS = (
    ("sink_tablename", "source_type", "sink_type", "source_to_dl_load_type", "dl_to_sink_load_type",
     "source_to_dl_incremental_key", "dl_to_sink_incremental_key"),
    ("source_to_dl_schedule", "dl_to_sink_schedule"),
    ("source_to_dl_is_active", "dl_to_sink_is_active"),
)  # fmt: skip
"""What a file says of a table, beside its name. How far its runs have come, no file says."""

TABLE_KEYS = ("source_tablename", *TEXTS, *NUMBERS, *FLAGS)


@dataclass(frozen=True, slots=True)
class DeclaredRow:
    """One row as somebody declares it, and where each of its columns is declared."""

    kind: str
    values: Mapping[str, Any]
    locate: Callable[[str], Location]


@dataclass(slots=True)
class Declared:
    """What is to be registered: rows, and the templates that are declared as a whole."""

    rows: list[DeclaredRow] = field(default_factory=list[DeclaredRow])
    templates: set[str] = field(default_factory=set[str])

    def of(self, kind: str) -> list[DeclaredRow]:
        """The rows of one table."""
        return [row for row in self.rows if row.kind == kind]


def parse_registry(document: Document, into: Declared) -> list[Diagnostic]:
    """Take what a file declares; returns all that is wrong with its shape."""
    reader = _Reader(document, Findings(document), into)
    reader.file()
    return reader.findings.found


def is_registry(document: Document) -> bool:
    """Whether a file is of this dialect."""
    return isinstance(document.value, dict) and VERSION_KEY in cast("dict[str, Any]", document.value)


@dataclass(frozen=True, slots=True)
class _Reader:
    document: Document
    findings: Findings
    into: Declared

    def file(self) -> None:
        top = Fields.of(self.document.value, (), FILE_KEYS, self.findings)
        if top.values and top.values.get(VERSION_KEY) not in VERSIONS:
            found = top.values.get(VERSION_KEY, "nothing")
            top.find(f'expected {VERSION_KEY} "1.0", found {found}', VERSION_KEY if VERSION_KEY in top.values else "")
        for kind, key in ((SOURCES, "sources"), (DESTINATIONS, "destinations")):
            self._each(top, key, lambda entry, path, kind=kind: self._endpoint(entry, path, kind))
        self._templates(top)
        self._each(top, "tables", self._table)

    def _each(self, top: Fields, key: str, read: Callable[[object, ValuePath], None]) -> None:
        for position, entry in enumerate(top.items(key)):
            read(entry, (key, position))

    def _endpoint(self, entry: object, path: ValuePath, kind: str) -> None:
        prefix = ENDPOINTS[kind]
        at = Fields.of(entry, path, ("id", *(f"{prefix}_{name}" for name in ("name", "type", "creds"))), self.findings)
        if not at.values:
            return
        values: dict[str, Any] = {f"{prefix}_{name}": at.text(f"{prefix}_{name}", None) for name in ("name", "type")}
        if at.values.get("id") is not None:
            values["id"] = at.text("id")
        values[f"{prefix}_creds"] = self._creds(at, f"{prefix}_creds")
        self._add(kind, values, path)

    def _creds(self, at: Fields, key: str) -> str | None:
        value = at.values.get(key)
        if value is None or isinstance(value, str):
            return value
        if not isinstance(value, dict):
            at.find(f"{key}: expected a mapping, found {type_name(value)}", key)
            return None
        return json.dumps(cast("dict[str, Any]", value), ensure_ascii=False)

    def _templates(self, top: Fields) -> None:
        value: object = top.values.get("templates")
        if value is None:
            return
        names: Sequence[str] = tuple(cast("dict[str, Any]", value)) if isinstance(value, dict) else ()
        templates = Fields.of(cast("object", value), ("templates",), names or ("default",), self.findings)
        for name in names:
            self.into.templates.add(name)
            for position, entry in enumerate(templates.items(name)):
                self._stage(entry, name, ("templates", name, position))

    def _stage(self, entry: object, template: str, path: ValuePath) -> None:
        at = Fields.of(entry, path, STAGE_KEYS, self.findings)
        if not at.values:
            return
        if at.values.get("stage_order") is None:
            at.find("missing key 'stage_order'")
        values = {
            "pipeline_name": template,
            "stage_order": at.whole("stage_order", 1, 1, 10_000),
            "stage_name": at.text("stage_name") or None,
            "stage_type": at.text("stage_type", None),
            "driver_container": at.text("driver_container") or None,
        }
        self._add(STAGES, values, path)

    def _table(self, entry: object, path: ValuePath) -> None:
        at = Fields.of(entry, path, TABLE_KEYS, self.findings)
        if not at.values:
            return
        values: dict[str, Any] = {"source_tablename": at.text("source_tablename", None)}
        values |= {name: at.text(name) or None for name in TEXTS}
        for name in NUMBERS:
            said = at.values.get(name) is not None
            values[name] = at.whole(name, 1, 1, MOST_MINUTES) if said else None
        values |= {name: at.flag(name, True) for name in FLAGS if at.values.get(name) is not None}
        self._add(TABLES, values, path)

    def _add(self, kind: str, values: Mapping[str, Any], path: ValuePath) -> None:
        def locate(column: str) -> Location:
            return self.document.position((*path, column))

        self.into.rows.append(DeclaredRow(kind, values, locate))

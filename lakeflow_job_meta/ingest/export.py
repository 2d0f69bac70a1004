"""The tables' rows as a modules file: loading it again changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from lakeflow_job_meta.control.files import RowKey
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, counted
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest import json_text
from lakeflow_job_meta.ingest.declared import MODULE_COLUMNS, SOURCE_COLUMNS
from lakeflow_job_meta.ingest.find import SUFFIXES
from lakeflow_job_meta.ingest.merge import JSON_COLUMNS, key_of
from lakeflow_job_meta.ingest.proposal import Tables
from lakeflow_job_meta.ingest.yaml_text import mapping_lines
from lakeflow_job_meta.model.control import MONITOR_MODULE, generated_by, tagged_by
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.store.base import Store

MAX_MAPPED_DEPTH = 40
"""Deeper JSON stays text, so that the whole file stays under the reader's limit."""

MAX_MAPPED_KEY = 500
"""Longer keys stay within JSON text: YAML's limit for a key on one line is 1,024 characters."""

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""JSON can escape one half of a surrogate pair; UTF-8 and YAML can't say it."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Where the rows went, how many, and what could not be written as people would write it."""

    path: str
    modules: int
    sources: int
    control_version: int
    warnings: tuple[Diagnostic, ...] = ()

    def __str__(self) -> str:
        rows = f"{counted(self.modules, 'module')}, {counted(self.sources, 'source')}"
        lines = [f"{self.path}: {rows}, table version {self.control_version}"]
        return "\n".join([*lines, *(f"  {each}" for each in self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "path": self.path,
            "modules": self.modules,
            "sources": self.sources,
            "control_version": self.control_version,
            "warnings": [each.to_dict() for each in self.warnings],
        }


def export_yaml(store: Store, tables: ControlTables, path: str | Path) -> ExportReport:
    """Write the control table and its modules table as one YAML file, which appears complete or not at all.

    Args:
        store: where the tables are.
        tables: the control table and its siblings.
        path: the file, whose name ends in .yml or .yaml; or a folder (one that exists, or a name with / at its end or
            without any suffix), for a file there that is named after the control table.

    Raises:
        TableNotFound: there is no control table.
        InputError: the name is neither a YAML file's nor a folder's, the file can't be written, or the table holds a
            row twice.
    """
    info = tables.require(store)
    target = _target(path, info.name.name)
    present = Tables.read(store, tables)
    name = str(tables.control.name)
    rows, warnings = _by_key(present, name)
    modules = sorted({key[0] for key in rows})
    content = [
        f"# Exported from {name}, version {present.control.version}",
        f"# (module settings from {tables.modules.name}, version {max(present.modules.version, 0)}).",
        "# Loading it again changes nothing, as long as the table stays as it is.",
        *mapping_lines({"metadata_version": "1.0"}),
        *(["modules:", *_modules(modules, rows, name, warnings)] if modules else ["modules: []"]),
    ]
    write_whole(target, "\n".join(content) + "\n")
    sources = sum(1 for key in rows if key[1])
    return ExportReport(str(target), len(modules), sources, present.control.version, tuple(warnings))


def _modules(names: Sequence[str], rows: Mapping[RowKey, Row], table: str, warnings: list[Diagnostic]) -> Iterator[str]:
    sources: dict[str, list[Row]] = {name: [] for name in names}
    for (module, source), row in rows.items():
        if source:
            sources[module].append(row)
    for name in names:
        own = rows.get((name, ""), {})
        entry = {"module_name": name, **_declared(own, MODULE_COLUMNS, RowLocation(table, name), warnings)}
        entry["sources"] = [
            {
                "source_id": row["source_id"],
                **_declared(row, SOURCE_COLUMNS, RowLocation(table, name, str(row["source_id"])), warnings),
            }
            for row in sorted(sources[name], key=_order)
        ]
        lines = mapping_lines(entry, 4)
        yield ""
        yield f"  - {next(lines)[4:]}"
        yield from lines


def _order(row: Row) -> tuple[int, str]:
    order = row.get("execution_order")
    return (1 if order is None else int(order), str(row["source_id"]))


def _declared(row: Row, columns: Sequence[str], where: RowLocation, warnings: list[Diagnostic]) -> dict[str, Any]:
    """The columns that say something: not NULL, and not the default."""
    entry: dict[str, Any] = {}
    for column in columns:
        value = row.get(column)
        if value is None or (column == "is_active" and value):
            continue
        if column in JSON_COLUMNS:
            value, problem = _config(value)
            if problem:
                place = RowLocation(where.table, where.module, where.source, column)
                warnings.append(Diagnostic(f"{problem}: exported as text", place, severity=Severity.WARNING))
        entry[column] = value
    return entry


def _config(text: str) -> tuple[Any, str]:
    """A JSON column as a mapping where that says the same; as the very text otherwise, and why."""
    if not text.strip():
        return text, ""
    try:
        value: object = json_text.parse(text)
    except json_text.NotJson as problem:
        return text, f"not JSON ({problem})"
    if not isinstance(value, dict):
        return text, "not a JSON object"
    mapped = cast("dict[str, object]", value)
    return (mapped if _mappable(mapped, MAX_MAPPED_DEPTH) else text), ""


def _mappable(value: object, depth: int) -> bool:
    if isinstance(value, str):
        return _HALF_CHARACTER.search(value) is None
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return depth > 0 and all(
            len(key) <= MAX_MAPPED_KEY and _mappable(key, depth) and _mappable(each, depth - 1) for key, each in entries
        )
    if isinstance(value, list):
        return depth > 0 and all(_mappable(each, depth - 1) for each in cast("list[object]", value))
    return True


def _by_key(present: Tables, table: str) -> tuple[dict[RowKey, Row], list[Diagnostic]]:
    rows: dict[RowKey, Row] = {}
    doubled: list[Diagnostic] = []
    warnings: list[Diagnostic] = []
    generated = _generated(present)
    for snapshot, is_source in ((present.control, True), (present.modules, False)):
        for row in snapshot.rows:
            if row.get("module_name") == MONITOR_MODULE:
                continue  # how the monitor runs is no metadata: elsewhere, these rows would keep this table's jobs
            if generated_by(row.get("source_config")) if is_source else row.get("module_name") in generated:
                continue  # what is made from other tables comes again from there
            if not str(row.get("module_name") or "").strip() or (is_source and not str(row["source_id"] or "").strip()):
                where = RowLocation(table, str(row.get("module_name") or ""))
                warnings.append(Diagnostic("a row without a name: left out", where, severity=Severity.WARNING))
                continue
            key = key_of(row)
            if key in rows:
                doubled.append(Diagnostic("this row is there twice", RowLocation(table, *key), "delete one of the two"))
            rows[key] = row
    if doubled:
        raise InputError(f"{table} can't be exported", diagnostics=doubled)
    return rows, warnings


def _generated(present: Tables) -> set[str]:
    """The modules that something other than people and their files wrote, and nothing else."""
    rows = [(row["module_name"], generated_by(row.get("source_config"))) for row in present.control.rows]
    peoples = {name for name, by in rows if not by}
    tagged = {row["module_name"] for row in present.modules.rows if tagged_by(row.get("job_config"))}
    return ({name for name, by in rows if by} | tagged) - peoples


def _target(given: str | Path, table: str) -> Path:
    path = Path(given)
    if path.is_dir() or str(given).endswith("/"):
        if path.suffix in SUFFIXES:
            raise InputError(f"{path} is a folder", hint="name a file in it")
        return path / f"{table}.yml"
    if path.suffix in SUFFIXES:
        return path
    if path.suffix:
        raise InputError(f"'{path}' is no YAML file's name", hint="end it in .yml; a folder's name in /")
    return path / f"{table}.yml"


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears complete or not at all.

    Raises:
        InputError: it can't be written.
    """
    # A name with a dot in front is no metadata file: whoever watches the folder doesn't see it half-written.
    draft = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        draft.replace(path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise InputError(f"{path} can't be written: {problem.strerror or problem}") from problem

"""How a dataset's tables are: small checks, each of which says what it found; none hides the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lakeflow_job_meta.bootstrap.dataset_file import RESERVED, Dataset
from lakeflow_job_meta.bootstrap.difference import differences
from lakeflow_job_meta.bootstrap.kept import is_kept
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.finding import Finding, failed, not_tried, ok, warning
from lakeflow_job_meta.model.table import TableInfo, TableName, TableSpec
from lakeflow_job_meta.store import table_statements as sql
from lakeflow_job_meta.store.base import TableStore
from lakeflow_job_meta.store.generated import GENERATED_PROPERTY, day_text, source_of

SMALL_BYTES = 8 * 2**20
"""Files that are smaller on average are many small ones …"""

MANY_FILES = 32
"""… where there are more than that."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A declared table that is there."""

    store: TableStore
    spec: TableSpec
    info: TableInfo

    @property
    def name(self) -> str:
        """Its name, quoted."""
        return sql.full_name(self.spec.name)

    def count(self, condition: str) -> int:
        """How many rows fulfil a condition of ours."""
        text = f"SELECT count(*) AS n FROM {self.name} WHERE {condition}"  # noqa: S608 (quoted names)
        return int(self.store.sql(text)[0]["n"])


def examine(store: TableStore, dataset: Dataset) -> Iterator[Finding]:
    """All checks of all declared tables, and whether there are others."""
    listed = store.listed(dataset.catalog, dataset.name)
    if listed is None:
        yield replace(failed("there is no such dataset", "`ljm bootstrap` makes it"), check=dataset.full_name)
        return
    yield replace(_counted(dataset, listed), check=f"{dataset.full_name}: tables")
    for spec in dataset.tables:
        info = store.info(spec.name) if spec.name in listed else None
        if info is None:
            yield replace(failed("there is no such table", "`ljm bootstrap` makes it"), check=str(spec.name))
            continue
        lost = False
        for name, check in CHECKS.items():
            found = not_tried("the table can't be read") if lost else _tried(check, Patient(store, spec, info))
            lost = lost or (name == "readable" and found.status is not ok("").status)
            yield replace(found, check=f"{spec.name}: {name}")


def _tried(check: Callable[[Patient], Finding], patient: Patient) -> Finding:
    try:
        return check(patient)
    except LakeflowJobMetaError as problem:
        return failed(problem.message, problem.hint)


def _counted(dataset: Dataset, listed: list[TableName]) -> Finding:
    declared = {each.name for each in dataset.tables}
    missing = [each.name for each in sorted(declared - set(listed))]
    strangers = [
        each.name
        for each in listed
        if each not in declared and not is_kept(each) and not each.name.startswith(RESERVED)
    ]
    if missing:
        return failed(f"missing: {', '.join(missing)}", "`ljm bootstrap` makes them")
    if strangers:
        return warning(f"all {len(declared)}, and strangers: {', '.join(strangers)}", "declare them, or drop them")
    return ok(f"all {len(declared)} that are declared, and no others")


def _readable(patient: Patient) -> Finding:
    return ok(counted(patient.count("true"), "row"))


def _writable(patient: Patient) -> Finding:
    # A statement that finds no row: the engine checks rights and the table's features, and commits nothing.
    _ = patient.store.sql(f"DELETE FROM {patient.name} WHERE false")  # noqa: S608 (quoted names)
    (detail,) = patient.store.sql(f"DESCRIBE DETAIL {patient.name}")
    folder = Path(str(detail["location"]).removeprefix("file:")) / "_delta_log"
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        return failed(f"{folder} can't be written", "who runs this needs the right to write there")
    return ok("rows can be changed")


def _declared(patient: Patient) -> Finding:
    differs = differences(patient.spec, patient.info)
    if differs:
        places = ", ".join(each.shown for each in differs)
        return warning(f"differs from its declaration: {places}", "`ljm bootstrap` tells, --evolve changes")
    return ok("columns, partitions and clustering as declared")


def _last_write(patient: Patient) -> Finding:
    (newest,) = patient.store.history(patient.spec.name, 1)
    who = f" by {newest.user}" if newest.user else ""
    return ok(f"{newest.timestamp:%Y-%m-%d %H:%M:%S} UTC, {newest.operation}{who}, version {newest.version}")


def _files(patient: Patient) -> Finding:
    (detail,) = patient.store.sql(f"DESCRIBE DETAIL {patient.name}")
    number, size = int(detail["numFiles"] or 0), int(detail["sizeInBytes"] or 0)
    found = f"{counted(number, 'file')}, {size} bytes"
    if number > MANY_FILES and size / number < SMALL_BYTES:
        return warning(f"{found}: many small ones", f"OPTIMIZE {patient.spec.name}")
    return ok(found)


def _nulls(patient: Patient) -> Finding:
    required = [each.name for each in patient.spec.columns if each.required]
    if not required:
        return ok("no column is REQUIRED")
    nulls = {name: patient.count(f"{sql.quoted(name)} IS NULL") for name in required}
    bad = [f"{name} in {counted(number, 'row')}" for name, number in nulls.items() if number]
    if bad:
        return failed(f"REQUIRED, but NULL: {', '.join(bad)}", "give them a value, then `ljm bootstrap --evolve`")
    return ok(f"none in {counted(len(required), 'REQUIRED column')}")


def _partitions(patient: Patient) -> Finding:
    """Rows that lie in a partition which isn't that of their timestamp: who looks by the timestamp misses them."""
    days = [each for each in patient.spec.columns if each.generated is not None]
    if not days:
        return ok("no partition follows from another column")
    orphans = {each.name: patient.count(_misplaced(patient, each)) for each in days}
    bad = [f"{counted(number, 'row')} by {name}" for name, number in orphans.items() if number]
    if bad:
        hint = f"set each to what it follows from: {', '.join(f'{each.name} = {each.generated}' for each in days)}"
        return failed(f"in a wrong partition: {', '.join(bad)}", hint)
    return ok("every row is in the partition of its day")


def _misplaced(patient: Patient, day: Column) -> str:
    expression = day.generated or ""
    if GENERATED_PROPERTY in patient.info.properties:
        # We fill it by UTC; the engine would cast by its session's time zone.
        source = source_of(day, patient.spec.columns)
        expression = day_text(source, sql.quoted(source.name)) if source else expression
    return f"NOT ({sql.quoted(day.name)} <=> {expression})"


CHECKS: Mapping[str, Callable[[Patient], Finding]] = {
    "readable": _readable,
    "writable": _writable,
    "declared": _declared,
    "last write": _last_write,
    "files": _files,
    "nulls": _nulls,
    "partitions": _partitions,
}

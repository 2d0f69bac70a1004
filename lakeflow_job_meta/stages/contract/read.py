"""A contract file into a Contract, with every finding at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.diagnostics import errors_in
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.fields import Fields, Findings
from lakeflow_job_meta.model.schema_file import SchemaReader
from lakeflow_job_meta.reader.document import Document, read_file
from lakeflow_job_meta.stages.contract.model import (
    ALWAYS,
    ENVELOPE,
    WHEN,
    Contract,
    ContractColumn,
    ContractTable,
    Version,
)

FILE_KEYS = ("contract", "version", "description", "tables", "completeness", "envelope", "handoff")
TABLE_KEYS = ("table", "when", "description", "columns", "unique", "rows", "freshness")
COLUMN_KEYS = ("name", "type", "required", "description", "allowed", "min", "max", "pattern", "json")
MOST_ROWS = 2**53


def read_contract(path: Path) -> Contract:
    """Read a contract.

    Raises:
        InputError: with all that is wrong with it.
    """
    reading = read_file(path)
    found = list(reading.diagnostics)
    contract = None
    if reading.document is not None:
        contract, more = _contract(reading.document)
        found += more.found
    if contract is None or errors_in(found):
        raise InputError(f"the contract {path} can't be used", diagnostics=found)
    return contract


def _contract(document: Document) -> tuple[Contract | None, Findings]:
    findings = Findings(document)
    top = Fields.of(document.value, (), FILE_KEYS, findings)
    text = top.text("version", None)
    version = Version.parse(text)
    if text and version is None:
        top.find(f"version: expected major.minor.patch, found '{text}'", "version", 'quote it: "1.0.0"')
    tables = tuple(_table(each, position, findings) for position, each in enumerate(top.items("tables")))
    if not tables:
        top.find("there are no tables", "tables")
    names = [each.name.lower() for each in tables]
    for position, name in enumerate(names):
        if name in names[:position]:
            findings.add(f"'{name}' is there twice", ("tables", position, "table"))
    handoff = top.inner("handoff", ("table", "max_age_hours"))
    envelope = top.texts("envelope", choices=ENVELOPE) or ENVELOPE
    contract = Contract(
        top.text("contract", None),
        version or Version(0, 0, 0),
        tables,
        _complete(top, tables, findings),
        envelope,
        handoff.text("table", "log.source"),
        handoff.number("max_age_hours", 24.0, 0.001, 100_000),
    )
    return contract, findings


def _table(value: Any, position: int, findings: Findings) -> ContractTable:
    at = Fields.of(value, ("tables", position), TABLE_KEYS, findings)
    name = at.text("table", None)
    if name and name.count(".") != 1:
        at.find(f"table: expected schema.table, found '{name}'", "table", "the catalog is the control table's")
    columns = tuple(_column(each, (*at.path, "columns", place), at) for place, each in enumerate(at.items("columns")))
    if not columns:
        at.find("a table without columns", "columns")
    known = [each.name for each in columns]
    if len({each.lower() for each in known}) < len(known):
        at.find("a column is there twice", "columns")
    unique = _unique(at, known)
    rows, freshness = at.inner("rows", ("min", "max")), at.inner("freshness", ("column", "max_age_hours"))
    column = freshness.text("column", None if freshness.values else "")
    if column and column not in known:
        freshness.find(f"column: the table has no '{column}'", "column")
    return ContractTable(
        name,
        columns,
        at.text("when", ALWAYS, choices=WHEN),
        unique,
        rows.whole("min", 0, 0, MOST_ROWS) if "min" in rows.values else None,
        rows.whole("max", 0, 0, MOST_ROWS) if "max" in rows.values else None,
        column,
        freshness.number("max_age_hours", 24, 0.001, 100_000) if freshness.values else None,
    )


def _unique(at: Fields, known: list[str]) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[str, ...]] = []
    for position, each in enumerate(at.items("unique")):
        names: list[Any] = cast("list[Any]", each) if isinstance(each, list) else [each]
        for name in names:
            if name not in known:
                at.findings.add(f"unique: the table has no column '{name}'", (*at.path, "unique", position))
        found.append(tuple(str(name) for name in names))
    return tuple(found)


def _column(value: Any, path: tuple[str | int, ...], table: Fields) -> ContractColumn:
    at = Fields.of(value, path, COLUMN_KEYS, table.findings)
    name, written = at.text("name", None), at.text("type", None)
    kind = written
    if name and written:
        reader = SchemaReader()
        columns = reader.columns([{"name": name, "type": written}])
        for each in reader.found:
            at.find(each.message, "type", each.hint)
        kind = columns[0].sql_type if columns else written
    pattern = at.text("pattern")
    try:
        re.compile(pattern)
    except re.error as error:
        at.find(f"pattern: {error}", "pattern")
    return ContractColumn(
        name,
        kind,
        at.flag("required", False),
        at.text("description"),
        tuple(at.items("allowed")),
        at.number("min", 0, -MOST_ROWS, MOST_ROWS) if "min" in at.values else None,
        at.number("max", 0, -MOST_ROWS, MOST_ROWS) if "max" in at.values else None,
        pattern,
        at.flag("json", False),
    )


def _complete(top: Fields, tables: tuple[ContractTable, ...], findings: Findings) -> dict[str, str]:
    columns = {f"{table.name}.{column.name}" for table in tables for column in table.columns}
    names = {table.name for table in tables}
    found: dict[str, str] = {}
    for position, each in enumerate(top.items("completeness")):
        at = Fields.of(each, ("completeness", position), ("count", "rows_of"), findings)
        count, rows = at.text("count", None), at.text("rows_of", None)
        if count and count not in columns:
            at.find(f"count: no table here has '{count}'", "count", "schema.table.column")
        if rows and rows not in names:
            at.find(f"rows_of: no table '{rows}' here", "rows_of")
        found[count] = rows
    return found

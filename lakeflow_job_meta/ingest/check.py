"""What the compiler says of rows that are about to be written, told at the place in the file that declares them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from lakeflow_job_meta.compile import CompileOptions, compile_modules
from lakeflow_job_meta.control.files import RowKey
from lakeflow_job_meta.diagnostics import Diagnostic, Path, RowLocation, Severity
from lakeflow_job_meta.ingest.declared import DeclaredRow
from lakeflow_job_meta.model.control import Module, Source
from lakeflow_job_meta.model.table import Row

ANY_WAREHOUSE = "default"
ANY_WHEEL = "/any.whl"
"""Stands for the default warehouse: whether one is set is known only where jobs are made, so that it's no finding
here."""

ABOUT_KEYS = ("unknown key", "unknown field")
"""The compiler's findings about a key rather than its value begin so."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding and the row that it concerns, with the place in that row as far as the compiler tells it."""

    module: str
    diagnostic: Diagnostic
    source: str = ""
    path: Path = ()


def compile_findings(
    sources: Sequence[Row], modules: Sequence[Row], declared: Mapping[RowKey, DeclaredRow], control_table: str
) -> list[Finding]:
    """Compile rows as they would be; findings about rows that aren't `declared` become warnings."""
    options = CompileOptions(control_table, default_warehouse_id=ANY_WAREHOUSE, wheel_path=ANY_WHEEL)
    compiled = compile_modules(
        [Source.from_row(row) for row in sources], [Module.from_row(row) for row in modules], options
    )
    return [
        Finding(each.location.module, _placed(each, each.location, declared), each.location.source, each.location.path)
        for each in compiled.diagnostics
        if isinstance(each.location, RowLocation)
    ]


def doubts(declared: Mapping[RowKey, DeclaredRow], changing: Collection[str]) -> list[Finding]:
    """Findings about what declared rows hold: errors in modules that the load changes, warnings elsewhere.

    What the table holds already, bad as it is, can be exported and loaded again.
    """
    found: list[Finding] = []
    for (module, _), row in declared.items():
        for _, each in row.doubts:
            severity = Severity.ERROR if module in changing else Severity.WARNING
            found.append(Finding(module, replace(each, severity=severity)))
    return found


def _placed(each: Diagnostic, where: RowLocation, declared: Mapping[RowKey, DeclaredRow]) -> Diagnostic:
    row = declared.get((where.module, where.source))
    if row is None:
        return replace(each, severity=Severity.WARNING)
    message = each.message if where.offset is None else f"{each.message}, at offset {where.offset}"
    path = (where.column, *where.path) if where.column else where.path
    at_key = each.message.startswith(ABOUT_KEYS)
    return replace(each, message=f"{row.name}: {message}", location=row.place.at(*path, key=at_key))

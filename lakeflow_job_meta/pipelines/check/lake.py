"""Rows that would use one thing twice: a table of the lake, a table of a sink, a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check.findings import Report
from lakeflow_job_meta.pipelines.naming import DESTINATION, Resolved, lake_table, module_name, resolve
from lakeflow_job_meta.pipelines.registry import Direction, RegisteredTable
from lakeflow_job_meta.pipelines.rows import endpoints_of
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, SOURCES, TABLES

MOST_CHARACTERS = 255
"""Of a table's name in Unity Catalog."""


def check_clashes(rows: Mapping[str, Sequence[Row]], catalog: str, lake_schema: str, report: Report) -> None:
    """Rows of pipeline_config that get in each other's way."""
    sources, destinations = endpoints_of(rows, SOURCES), endpoints_of(rows, DESTINATIONS)
    lake: dict[str, list[int]] = {}
    sinks: dict[str, list[int]] = {}
    modules: dict[str, list[int]] = {}
    for position, row in enumerate(rows[TABLES]):
        if not str(row.get("source_tablename") or "").strip():
            continue
        table = RegisteredTable.from_row(row)
        modules.setdefault(module_name(table.source_tablename, Direction.SOURCE_TO_DL).casefold(), []).append(position)
        place = resolve(table.source_tablename, table.source_type, sources)
        if isinstance(place, Resolved):
            name = lake_table(catalog, lake_schema, place)
            lake.setdefault(str(name), []).append(position)
            if len(name.name) > MOST_CHARACTERS:
                what = f"the lake's table would have a name of {len(name.name)} characters"
                report.of(TABLES, position, row).add("source_tablename", what, f"at most {MOST_CHARACTERS}")
        sink = resolve(table.sink_tablename or "", table.sink_type, destinations, DESTINATION)
        if isinstance(sink, Resolved) and table.dl_to_sink.active:
            sinks.setdefault(f"{sink.endpoint.name}.{sink.relation}", []).append(position)
    _report(report, rows, lake, "source_tablename", "the lake's table")
    _report(report, rows, sinks, "sink_tablename", "the sink's table")
    _report(report, rows, modules, "source_tablename", "the module")


def _report(
    report: Report, rows: Mapping[str, Sequence[Row]], places: Mapping[str, list[int]], column: str, what: str
) -> None:
    names = {position: str(row.get("source_tablename")) for position, row in enumerate(rows[TABLES])}
    for place, positions in places.items():
        for position in positions:
            others = sorted({names[other] for other in positions if names[other] != names[position]})
            if others:
                shown = place if what != "the module" else names[position]
                message = f"{what} {shown} would also be that of {', '.join(others)}"
                direction = Direction.DL_TO_SINK if column == "sink_tablename" else None
                report.of(TABLES, position, rows[TABLES][position]).add(column, message, direction=direction)

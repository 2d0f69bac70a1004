"""The tables that are moved: their types, ends, templates, schedules, keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.model.stage_type import runs_in
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check.findings import Report, RowReport, report_doubles
from lakeflow_job_meta.pipelines.naming import DESTINATION, SOURCE, Unresolved, resolve
from lakeflow_job_meta.pipelines.registry import INCREMENTAL, LOAD_TYPES, Direction, Endpoint, RegisteredTable, Transfer
from lakeflow_job_meta.pipelines.rows import endpoints_of, templates_of
from lakeflow_job_meta.pipelines.schedule import firing, nearest_minutes
from lakeflow_job_meta.pipelines.systems import KNOWN
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, SOURCES, TABLES
from lakeflow_job_meta.pipelines.templates import Templates, template_names


@dataclass(frozen=True, slots=True)
class _Known:
    """What rows of pipeline_config refer to."""

    sources: Mapping[str, Endpoint]
    destinations: Mapping[str, Endpoint]
    templates: Templates


def check_tables(rows: Mapping[str, Sequence[Row]], report: Report) -> None:
    """The rows of pipeline_config."""
    known = _Known(endpoints_of(rows, SOURCES), endpoints_of(rows, DESTINATIONS), templates_of(rows))
    for position, row in enumerate(rows[TABLES]):
        _check_table(report.of(TABLES, position, row), known)
    report_doubles(report, TABLES, rows[TABLES], ("source_tablename",))


def _check_table(at: RowReport, known: _Known) -> None:
    name = at.text("source_tablename")
    table = RegisteredTable.from_row(at.row)
    for column, system in (("source_type", table.source_type), ("sink_type", table.sink_type)):
        if system not in KNOWN:
            hint = nearest(system, KNOWN) or "known: " + ", ".join(KNOWN)
            at.add(column, f"unknown type '{system}'", hint)
    if name and table.source_type in KNOWN:
        place = resolve(name, table.source_type, known.sources, SOURCE)
        if isinstance(place, Unresolved):
            at.add("source_tablename", place.message, place.hint)
    sink = at.text("sink_tablename", required=False)
    if sink and table.sink_type in KNOWN:
        place = resolve(sink, table.sink_type, known.destinations, DESTINATION)
        if isinstance(place, Unresolved):
            at.add("sink_tablename", place.message, place.hint, direction=Direction.DL_TO_SINK)
    if not sink and table.dl_to_sink.active and (table.dl_to_sink.load_type or table.dl_to_sink.schedule):
        what = "expected a table, found nothing, and dl_to_sink is active"
        at.add("sink_tablename", what, "destination_name.schema.table", direction=Direction.DL_TO_SINK)
    for direction in Direction:
        if direction is Direction.SOURCE_TO_DL or sink:
            _check_transfer(at, table, table.transfer(direction), known.templates)


def _check_transfer(at: RowReport, table: RegisteredTable, transfer: Transfer, templates: Templates) -> None:
    direction, minutes = transfer.direction, transfer.schedule
    if minutes is not None and firing(minutes, "") is None:
        hint = f"write {' or '.join(map(str, nearest_minutes(minutes)))}, or leave it out"
        at.add(f"{direction}_schedule", f"no job can start every {minutes} minutes", hint, direction=direction)
    if transfer.load_type is not None or transfer.active:
        _ = at.choice(f"{direction}_load_type", LOAD_TYPES, direction=direction)
    key = at.text(f"{direction}_incremental_key", required=False)
    if transfer.load_type == INCREMENTAL and not key:
        hint = "name the column that tells what is new, or load all: full"
        at.add(f"{direction}_incremental_key", "incremental needs a key, found nothing", hint, direction=direction)
    if transfer.active:
        _check_template(at, table, direction, templates)


def _check_template(at: RowReport, table: RegisteredTable, direction: Direction, templates: Templates) -> None:
    names = template_names(table)
    name = next((each for each in names if each in templates), "")
    column = "source_type" if direction is Direction.SOURCE_TO_DL else "sink_type"
    if not name:
        at.add(
            column, f"there is no template {' or '.join(names)}", "put one into pipeline_stages", direction=direction
        )
    elif not any(runs_in(stage.stage_type, direction) for stage in templates[name]):
        at.add(column, f"the template {name} has no stage for {direction}", "put one there", direction=direction)

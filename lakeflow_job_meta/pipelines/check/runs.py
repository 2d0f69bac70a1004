"""The rows that runs record: states, and what they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakeflow_job_meta.diagnostics import Severity
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check.findings import Finding, Locate, Report, at_row, report_doubles
from lakeflow_job_meta.pipelines.tables import RUNS, STAGE_LOGS, TABLES, RegistryTables

RUN_STATES = ("pending", "running", "success", "failed")
STAGE_STATES = ("running", "success", "failed")
CAUSES = ("manual", "schedule", "api")

LOOKED_AT: Mapping[str, Sequence[str]] = {
    RUNS: ("id", "source_tablename", "status", "triggered_by"),
    STAGE_LOGS: ("id", "pipeline_run_id", "status"),
}
"""The columns that are read for it."""


def check_runs(
    rows: Mapping[str, Sequence[Row]], tables: RegistryTables, locate: Locate | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong with recorded runs.

    Runs outlive what is registered: one of a table that is gone is a warning.
    """
    report = Report(locate or at_row(rows, tables))
    registered = {row.get("source_tablename") for row in rows[TABLES]}
    for position, row in enumerate(rows[RUNS]):
        at = report.of(RUNS, position, row)
        _ = at.choice("status", RUN_STATES)
        if row.get("triggered_by") is not None:
            _ = at.choice("triggered_by", CAUSES)
        if row.get("source_tablename") not in registered:
            message = f"no row of {TABLES} is '{row.get('source_tablename')}'"
            at.add("source_tablename", message, severity=Severity.WARNING)
    runs = {row.get("id") for row in rows[RUNS]}
    for position, row in enumerate(rows[STAGE_LOGS]):
        at = report.of(STAGE_LOGS, position, row)
        _ = at.choice("status", STAGE_STATES)
        if row.get("pipeline_run_id") not in runs:
            at.add("pipeline_run_id", f"no row of {RUNS} has the id {row.get('pipeline_run_id')}")
    for kind in (RUNS, STAGE_LOGS):
        report_doubles(report, kind, rows[kind], ("id",))
    return tuple(report.found)

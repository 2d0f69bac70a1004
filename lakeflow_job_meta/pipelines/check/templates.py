"""Templates: the stages of pipelines, in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lakeflow_job_meta.diagnostics import Severity, nearest
from lakeflow_job_meta.model.stage_type import BUILT_IN, NOTEBOOK, PROGRAM, UserStage, parse_stage_type
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check.findings import Report, RowReport, report_doubles
from lakeflow_job_meta.pipelines.registry import DEFAULT_TEMPLATE
from lakeflow_job_meta.pipelines.systems import KNOWN
from lakeflow_job_meta.pipelines.tables import STAGES

NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
"""So long that a task's key can be made of it."""

BETWEEN = re.compile(r"([a-z0-9]+)_to_([a-z0-9]+)")


def check_templates(rows: Mapping[str, Sequence[Row]], report: Report) -> None:
    """The rows of pipeline_stages."""
    for position, row in enumerate(rows[STAGES]):
        at = report.of(STAGES, position, row)
        if row.get("id") is None:
            at.add("id", "expected a number, found nothing")
        _check_name(at)
        order = row.get("stage_order")
        if order is None or order < 1:
            at.add("stage_order", f"expected 1, 2, 3, …, found {'nothing' if order is None else order}")
        _check_type(at)
        _ = at.text("driver_container", required=False)
    report_doubles(report, STAGES, rows[STAGES], ("id",))
    report_doubles(report, STAGES, rows[STAGES], ("pipeline_name", "stage_order"))


def _check_name(at: RowReport) -> None:
    name = at.text("pipeline_name")
    if not name:
        return
    if not NAME.fullmatch(name):
        at.add("pipeline_name", f"'{name}' can't be a template's name", "up to 60 letters, digits, _ and -")
        return
    between = BETWEEN.fullmatch(name)
    if name != DEFAULT_TEMPLATE and not (between and between[1] in KNOWN and between[2] in KNOWN):
        pairs = [DEFAULT_TEMPLATE, *(f"{one}_to_{other}" for one in KNOWN for other in KNOWN)]
        hint = nearest(name, pairs) or "{source_type}_to_{sink_type}, or default"
        at.add("pipeline_name", f"no pipeline can use the template '{name}'", hint, severity=Severity.WARNING)


def _check_type(at: RowReport) -> None:
    text = at.text("stage_type")
    if not text or parse_stage_type(text) is not None:
        return
    user_form = f"{NOTEBOOK}:<path>, {PROGRAM}:<package>:<name>"
    hint = nearest(text, BUILT_IN) or f"known: {', '.join(BUILT_IN)}, {user_form}"
    if text.split(":")[0] in UserStage.KINDS:
        hint = f"write {user_form}"
    at.add("stage_type", f"unknown stage type '{text}'", hint)

"""The registry's rows as what they mean. Rows that can't be told apart or have no name are left out: `check` tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.registry import Endpoint, RegisteredTable, Registry, StageTemplate
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, ENDPOINTS, SOURCES, STAGES, TABLES
from lakeflow_job_meta.pipelines.templates import Templates


def registry_of(rows: Mapping[str, Sequence[Row]]) -> Registry:
    """All of it."""
    stages = [stage for template in templates_of(rows).values() for stage in template]
    tables = tuple(RegisteredTable.from_row(row) for row in rows[TABLES] if row.get("source_tablename"))
    return Registry(tables, endpoints_of(rows, SOURCES), endpoints_of(rows, DESTINATIONS), tuple(stages))


def endpoints_of(rows: Mapping[str, Sequence[Row]], kind: str) -> dict[str, Endpoint]:
    """Sources or destinations by name."""
    prefix = ENDPOINTS[kind]
    found = [Endpoint.from_row(row, prefix) for row in rows[kind]]
    return {each.name: each for each in found if each.name.strip()}


def templates_of(rows: Mapping[str, Sequence[Row]]) -> Templates:
    """The stages of each template, in order."""
    templates: dict[str, list[StageTemplate]] = {}
    for row in rows[STAGES]:
        if row.get("pipeline_name") and row.get("stage_order") is not None and row.get("stage_type"):
            templates.setdefault(row["pipeline_name"], []).append(StageTemplate.from_row(row))
    return {name: sorted(stages, key=lambda stage: stage.stage_order) for name, stages in templates.items()}

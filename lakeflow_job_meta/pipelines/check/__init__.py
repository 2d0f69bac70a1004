"""What is wrong with the registry's rows, also with those that came by SQL: all findings at once. Pure.

Belongs here: one file a kind of row, each a function from rows to findings. Doesn't: reading tables or files, and what
follows from good rows (`generate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check.endpoints import check_endpoints
from lakeflow_job_meta.pipelines.check.findings import Finding, Locate, Report, at_row
from lakeflow_job_meta.pipelines.check.lake import check_clashes
from lakeflow_job_meta.pipelines.check.moved import check_tables
from lakeflow_job_meta.pipelines.check.templates import check_templates
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, SOURCES, RegistryTables

__all__ = ["Finding", "Locate", "at_row", "check_registry"]


def check_registry(
    rows: Mapping[str, Sequence[Row]], tables: RegistryTables, lake_schema: str, locate: Locate | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong with what is registered.

    Args:
        rows: those of pipeline_config, sources_config, destinations_config and pipeline_stages.
        tables: where they are.
        lake_schema: where the tables between source and sink are.
        locate: where a value stands; its table, row and column by default.
    """
    report = Report(locate or at_row(rows, tables))
    for kind in (SOURCES, DESTINATIONS):
        check_endpoints(rows, kind, report)
    check_templates(rows, report)
    check_tables(rows, report)
    check_clashes(rows, tables.catalog, lake_schema, report)
    return tuple(report.found)

"""Sources and destinations: names, ids, types, and no secret written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakeflow_job_meta.diagnostics import dotted
from lakeflow_job_meta.model.secret_reference import FORMS
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check.findings import Report, RowReport, report_doubles
from lakeflow_job_meta.pipelines.creds import parse_creds, written_out
from lakeflow_job_meta.pipelines.systems import KNOWN
from lakeflow_job_meta.pipelines.tables import ENDPOINTS
from lakeflow_job_meta.pipelines.uuid7 import is_uuid7


def check_endpoints(rows: Mapping[str, Sequence[Row]], kind: str, report: Report) -> None:
    """The rows of sources_config or destinations_config."""
    prefix = ENDPOINTS[kind]
    for position, row in enumerate(rows[kind]):
        at = report.of(kind, position, row)
        name = at.text(f"{prefix}_name")
        if "." in name:
            at.add(f"{prefix}_name", f"'{name}' has a dot in it", "tables are named source.schema.table")
        if (identity := at.text("id")) and not is_uuid7(identity):
            at.add("id", f"expected a UUID of version 7, found '{identity}'", "`ljm pipelines add` makes one")
        _ = at.choice(f"{prefix}_type", KNOWN)
        _check_creds(at, f"{prefix}_creds")
    for column in (f"{prefix}_name", "id"):
        report_doubles(report, kind, rows[kind], (column,))


def _check_creds(at: RowReport, column: str) -> None:
    try:
        creds = parse_creds(at.row.get(column))
    except ValueError as problem:
        at.add(column, str(problem), 'write {"host": …, "user": …, "password": "env:NAME"}')
        return
    for path in written_out(creds):
        what = f"the secret '{dotted(path)}' is written out, expected a reference"
        at.add(column, what, f"write {FORMS}; `ljm pipelines import-secrets` moves it")

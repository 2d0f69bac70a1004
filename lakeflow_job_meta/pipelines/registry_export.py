"""The registry as a file that loads back without any change. What runs wrote is left out: it isn't declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.yaml_text import mapping_lines
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check import Finding
from lakeflow_job_meta.pipelines.creds import parse_creds
from lakeflow_job_meta.pipelines.registry_file import STAGE_KEYS, TABLE_KEYS, VERSION_KEY
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, ENDPOINTS, SOURCES, STAGES, TABLES


def export_text(rows: Mapping[str, Sequence[Row]], findings: Sequence[Finding], origin: str) -> str:
    """The file's text.

    Args:
        rows: what is registered.
        findings: what is wrong with it: what wouldn't load isn't exported, and no secret that is written out.
        origin: what people are told it comes from.

    Raises:
        InputError: with those findings.
    """
    if wrong := [each.diagnostic for each in findings if each.is_error]:
        raise InputError("the registry can't be exported: it wouldn't load", diagnostics=wrong)
    return "\n".join([f"# Exported from {origin}. Loading it again changes nothing.", *_lines(rows)]) + "\n"


def _lines(rows: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    yield from mapping_lines({VERSION_KEY: "1.0"})
    for kind, key in ((SOURCES, "sources"), (DESTINATIONS, "destinations")):
        prefix = ENDPOINTS[kind]
        entries = [_endpoint(row, prefix) for row in sorted(rows[kind], key=lambda row: str(row[f"{prefix}_name"]))]
        yield from _section({key: entries} if entries else {})
    yield from _section({"templates": _templates(rows[STAGES])} if rows[STAGES] else {})
    tables = sorted(rows[TABLES], key=lambda row: str(row["source_tablename"]))
    yield from _section({"tables": [_said(row, TABLE_KEYS) for row in tables]} if tables else {})


def _section(value: Mapping[str, Any]) -> Iterator[str]:
    if value:
        yield ""
        yield from mapping_lines(value)


def _endpoint(row: Row, prefix: str) -> dict[str, Any]:
    entry = _said(row, (f"{prefix}_name", f"{prefix}_type", "id"))
    creds = row.get(f"{prefix}_creds")
    if creds is not None:
        entry[f"{prefix}_creds"] = _mapped(creds)
    return entry


def _mapped(creds: str) -> Any:
    """As a mapping, or as the very text where it is none."""
    try:
        return dict(parse_creds(creds)) or creds
    except ValueError:
        return creds


def _templates(rows: Sequence[Row]) -> dict[str, Any]:
    templates: dict[str, Any] = {}
    for row in sorted(rows, key=lambda row: (str(row["pipeline_name"]), row["stage_order"])):
        templates.setdefault(row["pipeline_name"], []).append(_said(row, STAGE_KEYS))
    return templates


def _said(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in columns if row.get(name) is not None}

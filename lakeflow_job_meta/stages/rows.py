"""The rows of the documented tables. Pure: the moment is passed in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.stages.config.model import Endpoint, SourceConfig

SUCCESS, FAILED = "Success", "Failed"


@dataclass(frozen=True, slots=True)
class Found:
    """What a run found out about an API. `catalogue` is category and whether it is hierarchical, of each endpoint."""

    catalogue: Sequence[tuple[str, bool]]
    asked: int
    succeeded: int
    hierarchical_access: bool

    @property
    def success_rate(self) -> float:
        return self.succeeded / self.asked if self.asked else 1.0


def operation_type(bootstrap: bool, preview: bool) -> str:
    """What kind of run it is, in one word."""
    return {(False, False): "normal", (True, False): "bootstrap", (False, True): "preview"}.get(
        (bootstrap, preview), "full"
    )


def credentials_row(config: SourceConfig, masked: str, status: str, now: datetime) -> dict[str, Any]:
    """The row of source.credentials."""
    return {
        "credential_type": config.auth.method,
        "credential_value": masked,
        "last_validated": now,
        "validation_status": status,
    }


def endpoint_row(endpoint: Endpoint) -> dict[str, Any]:
    """A row of source.endpoints."""
    return {
        "endpoint_path": endpoint.path,
        "full_path": endpoint.full_path,
        "http_method": endpoint.method,
        "category": endpoint.category,
        "description": endpoint.description or None,
        "requires_auth": endpoint.requires_auth,
        "hierarchical": endpoint.hierarchical,
        "query_parameters": list(endpoint.query_parameters),
        "path_parameters": list(endpoint.path_parameters),
        "resource": f"{endpoint.method} {endpoint.full_path}",
    }


def catalogue_of(config: SourceConfig, rows: Sequence[Row] | None) -> list[tuple[str, bool]]:
    """What the portfolio counts: the endpoints table's rows, or where there is none, the configured endpoints."""
    if rows is None:
        return [(each.category, each.hierarchical) for each in config.endpoints]
    return [(str(row["category"]), bool(row["hierarchical"])) for row in rows]


def portfolio_row(
    config: SourceConfig, found: Found, contract_version: str, discovered: datetime, now: datetime
) -> dict[str, Any]:
    """The row of source.portfolio."""
    categories = Counter(category for category, _ in found.catalogue)
    return {
        "source_system": config.source_system,
        "contract_version": contract_version,
        "discovery_date": discovered,
        "total_endpoints": len(found.catalogue),
        "endpoint_categories": json.dumps(dict(sorted(categories.items())), ensure_ascii=False),
        "hierarchical_endpoints": sum(hierarchical for _, hierarchical in found.catalogue),
        "auth_method": config.auth.method,
        "auth_status": SUCCESS,
        "last_auth_check": now,
        "hierarchical_access_validated": found.hierarchical_access,
        "endpoint_success_rate": found.success_rate,
        "supports_incremental": config.incremental,
        "status": "active" if config.is_enabled else "inactive",
        "is_enabled": config.is_enabled,
        "last_updated": now,
    }


def discovery_date(rows: Sequence[Mapping[str, Any]], remembered: datetime | None, now: datetime) -> datetime:
    """The earliest that is known: of the portfolio, of the log, or this run."""
    known = [row["discovery_date"] for row in rows if row["discovery_date"] is not None]
    return min([*known, *([remembered] if remembered else []), now])

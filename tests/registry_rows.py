"""A small registry as rows, good as it stands; tests change what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.check import Finding, check_registry
from lakeflow_job_meta.pipelines.generate import Extras, Generated, generate
from lakeflow_job_meta.pipelines.tables import (
    BUILT_IN_STAGES,
    DESTINATIONS,
    SOURCES,
    STAGES,
    TABLES,
    RegistryTables,
)

REGISTRY = RegistryTables("main", "pipelines")
IDS = [f"017f22e2-79b0-7cc3-98c4-dc0c0c07398{digit}" for digit in range(10)]
ORDERS: Mapping[str, Any] = {
    "source_tablename": "crm.public.orders",
    "sink_tablename": "dwh.public.orders",
    "source_type": "postgres",
    "sink_type": "postgres",
    "source_to_dl_schedule": 15,
    "source_to_dl_load_type": "incremental",
    "source_to_dl_is_active": True,
    "source_to_dl_incremental_key": "updated_at",
    "dl_to_sink_schedule": 120,
    "dl_to_sink_load_type": "full",
    "dl_to_sink_is_active": True,
}


def source(name: str = "crm", kind: str = "postgres", creds: str | None = None, number: int = 0) -> Row:
    return {"id": IDS[number], "source_name": name, "source_type": kind, "source_creds": creds}


def destination(name: str = "dwh", kind: str = "postgres", creds: str | None = None, number: int = 9) -> Row:
    return {"id": IDS[number], "destination_name": name, "destination_type": kind, "destination_creds": creds}


def orders(**changed: Any) -> Row:
    return {**ORDERS, **changed}


def rows(
    tables: Sequence[Row] = (ORDERS,),
    sources: Sequence[Row] = (source(),),
    destinations: Sequence[Row] = (destination(),),
    stages: Sequence[Row] = tuple(BUILT_IN_STAGES),
) -> dict[str, tuple[Row, ...]]:
    return {TABLES: tuple(tables), SOURCES: tuple(sources), DESTINATIONS: tuple(destinations), STAGES: tuple(stages)}


def checked(registered: Mapping[str, Sequence[Row]]) -> tuple[Finding, ...]:
    return check_registry(registered, REGISTRY, "dl")


def told(registered: Mapping[str, Sequence[Row]]) -> list[str]:
    return [str(each.diagnostic) for each in checked(registered)]


def generated(registered: Mapping[str, Sequence[Row]], extras: Extras | None = None) -> Generated:
    return generate(registered, checked(registered), extras or Extras())

"""Which store the settings name."""

from __future__ import annotations

from lakeflow_job_meta.settings import SPARK, WAREHOUSE, Settings
from lakeflow_job_meta.store.base import TableStore


def open_store(settings: Settings) -> TableStore:
    """The store of these settings; nothing is read or made yet."""
    if settings.store == SPARK:
        from lakeflow_job_meta.store.spark import spark_store

        return spark_store(settings)
    if settings.store.startswith(WAREHOUSE):
        from lakeflow_job_meta.store.warehouse import warehouse_store

        return warehouse_store(settings)
    from lakeflow_job_meta.store.delta import DeltaStore

    return DeltaStore(settings.home)

"""Which store the settings name."""

from __future__ import annotations

from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.base import Store


def open_store(settings: Settings) -> Store:
    """The store of these settings; nothing is read or made yet."""
    from lakeflow_job_meta.store.delta import DeltaStore

    return DeltaStore(settings.home)

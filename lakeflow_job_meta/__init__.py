"""Keep Databricks Lakeflow Jobs equal to the rows of a Delta table.

The public names are imported when they are first used, so that `import lakeflow_job_meta` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakeflow_job_meta.errors import (
        ApplyError,
        ConflictError,
        InputError,
        LakeflowJobMetaError,
        StoreError,
        UsageError,
        WorkspaceError,
    )
    from lakeflow_job_meta.metadata_manager import MetadataManager
    from lakeflow_job_meta.monitor import MetadataMonitor
    from lakeflow_job_meta.orchestrator import JobOrchestrator
    from lakeflow_job_meta.pipelines.pipeline_registry import PipelineRegistry
    from lakeflow_job_meta.store.spark import SparkStore

__version__ = "0.1.0"

_MODULES = {
    "ApplyError": "errors",
    "ConflictError": "errors",
    "InputError": "errors",
    "JobOrchestrator": "orchestrator",
    "LakeflowJobMetaError": "errors",
    "MetadataManager": "metadata_manager",
    "MetadataMonitor": "monitor",
    "PipelineRegistry": "pipelines.pipeline_registry",
    "SparkStore": "store.spark",
    "StoreError": "errors",
    "UsageError": "errors",
    "WorkspaceError": "errors",
}

__all__ = [
    "ApplyError",
    "ConflictError",
    "InputError",
    "JobOrchestrator",
    "LakeflowJobMetaError",
    "MetadataManager",
    "MetadataMonitor",
    "PipelineRegistry",
    "SparkStore",
    "StoreError",
    "UsageError",
    "WorkspaceError",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The stages that are built in, by the name that a template gives them."""

from __future__ import annotations

from collections.abc import Mapping

from lakeflow_job_meta.pipelines.stages.driver_check import driver_check
from lakeflow_job_meta.pipelines.stages.extract import extract
from lakeflow_job_meta.pipelines.stages.load import load
from lakeflow_job_meta.pipelines.stages.stage import StageFunction
from lakeflow_job_meta.pipelines.stages.verify import verify

STAGES: Mapping[str, StageFunction] = {
    "driver_check": driver_check,
    "extract": extract,
    "load": load,
    "verify": verify,
}
"""What each stage type does."""

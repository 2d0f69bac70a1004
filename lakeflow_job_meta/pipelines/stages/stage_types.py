"""The stages that are built in, by the name that a template gives them."""

from __future__ import annotations

from collections.abc import Mapping

from lakeflow_job_meta.pipelines.stages.extract import extract
from lakeflow_job_meta.pipelines.stages.stage import StageFunction

STAGES: Mapping[str, StageFunction] = {"extract": extract}
"""What each stage type does."""

"""Which engine a notebook's `spark` is."""

from __future__ import annotations

from typing import Any

from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.embedded_spark import EmbeddedSpark


def engine_of(assignment: Assignment) -> Any:
    """The session of a notebook."""
    return EmbeddedSpark(assignment.home)

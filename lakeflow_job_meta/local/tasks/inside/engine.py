"""Which engine a notebook's `spark` is: real Spark where it is set up with Delta, else SQL on the embedded tables."""

from __future__ import annotations

import sys
from typing import Any

from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.embedded_spark import EmbeddedSpark
from lakeflow_job_meta.store.spark_embedded import embedded_session, what_is_missing


def engine_of(assignment: Assignment) -> Any:
    """The session of a notebook."""
    missing = what_is_missing()
    if missing:
        return EmbeddedSpark(assignment.home, missing)
    print("starting Spark …", file=sys.__stderr__, flush=True)
    return embedded_session(assignment.home, assignment.folder / "spark")

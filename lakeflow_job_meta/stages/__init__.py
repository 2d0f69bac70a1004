"""The source stage: code that runs inside of a job's task, and knows an API before anything is extracted from it.

Belongs here: a system's stage file, calling its API within limits, what was found as tables, the contract with the
stage that comes next, the activity log. Doesn't: extracting data, anything about jobs, how a table is made (`store`).
`config` and `contract` read files and are pure otherwise; all requests go through `http`.
"""

from __future__ import annotations

from lakeflow_job_meta.stages.source_stage import SourceStage, StageOptions

__all__ = ["SourceStage", "StageOptions"]

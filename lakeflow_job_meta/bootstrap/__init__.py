"""Setting up a system's datasets and tables from schema files: planned, shown, done, and safe to do again.

Belongs here: pipeline files and their processors, config.yml and schema files as declarations, how declared and found
tables differ, what may be changed without losing data, doing it and taking it back, checks of what is there. Doesn't:
the format of a schema file (`model`), how an engine makes a table (`store`), anything about jobs.
"""

from __future__ import annotations

from lakeflow_job_meta.bootstrap.bootstrap import Bootstrap, Wishes

__all__ = ["Bootstrap", "Wishes"]

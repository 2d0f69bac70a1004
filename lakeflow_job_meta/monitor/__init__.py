"""The monitor: looks again and again, and tells how it is.

Belongs here: when to look, what to do about what fails, whose turn it is, health and metrics. Doesn't: what a look
does, which is planning and applying.
"""

from __future__ import annotations

from lakeflow_job_meta.monitor.cycle import Cycle
from lakeflow_job_meta.monitor.loop import MetadataMonitor

__all__ = ["Cycle", "MetadataMonitor"]

"""Whether all that this product needs is there and works, and how to mend what isn't: `ljm doctor`.

Belongs here: small checks in a table, each of which says what it found; none can hang, and none hides the others.
Doesn't: mending. What is looked at is looked at through the store and the workspace, as everything else does it.
"""

from __future__ import annotations

from lakeflow_job_meta.doctor.examine import Wishes, examine
from lakeflow_job_meta.model.finding import Finding, Status

__all__ = ["Finding", "Status", "Wishes", "examine"]

"""`python -m lakeflow_job_meta.local.tasks.inside FOLDER LIFELINE`: carry out the folder's order."""

from __future__ import annotations

import sys
from pathlib import Path

from lakeflow_job_meta.local.tasks.inside.carry_out import carry_out
from lakeflow_job_meta.local.tasks.inside.guard import guard

if __name__ == "__main__":
    guard(int(sys.argv[2]))
    sys.exit(carry_out(Path(sys.argv[1])))

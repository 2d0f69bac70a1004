"""How the runs of each module went, out of the ledger's rows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.model.run import BAD, GOOD
from lakeflow_job_meta.model.table import Row


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the runs of one module went.

    `runs` are those that ended well or failed; cancelled and skipped ones don't count. `success_rate` is from 0 to 1,
    None without runs. `p50_ms` and `p95_ms` are how long the successful ones took, in milliseconds.
    """

    runs: int = 0
    success_rate: float | None = None
    p50_ms: int | None = None
    p95_ms: int | None = None
    last_success: datetime | None = None
    breaches: int = 0

    def to_dict(self, now: datetime) -> dict[str, Any]:
        """The statistics as JSON-ready values, with the seconds since the last success."""
        since = round((now - self.last_success).total_seconds()) if self.last_success else None
        return {
            "runs": self.runs, "success_rate": self.success_rate, "p50_ms": self.p50_ms, "p95_ms": self.p95_ms,
            "last_success": self.last_success, "seconds_since_success": since, "breaches": self.breaches,
        }  # fmt: skip


def statistics_of(rows: Iterable[Row]) -> dict[str, Statistics]:
    """The statistics of each module that has runs among these rows."""
    by_module: dict[str, list[Row]] = {}
    for row in rows:
        if row["result"] in GOOD | BAD:
            by_module.setdefault(row["module_name"], []).append(row)
    return {module: _of(each) for module, each in by_module.items()}


def percentile(values: Sequence[int], share: float) -> int | None:
    """The least value that so large a share of all values doesn't exceed.

    >>> percentile([40, 10, 30, 20], 0.5), percentile([40, 10, 30, 20], 0.95), percentile([], 0.5)
    (20, 40, None)
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _of(rows: Sequence[Row]) -> Statistics:
    good = [row for row in rows if row["result"] in GOOD]
    durations = [row["duration_ms"] for row in good if row["duration_ms"] is not None]
    return Statistics(
        len(rows),
        len(good) / len(rows),
        percentile(durations, 0.5),
        percentile(durations, 0.95),
        max((row["end_time"] for row in good if row["end_time"]), default=None),
        sum(row["sla"] is not None for row in rows),
    )

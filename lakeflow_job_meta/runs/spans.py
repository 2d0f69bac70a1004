"""All runs since a moment, oldest span first, though the API lists the newest first and has no offset.

What started since the last look is mostly one page. A backlog is cut into spans of time that are listed one by one, so
that what was collected has no gap whenever it ends, and never more than a span is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lakeflow_job_meta.model.run import Run, milliseconds
from lakeflow_job_meta.workspace.runs import PAGE, ApiRuns, RunQuery

FIRST_SPAN_MS = 3_600_000
MANY, FEW = 80 * PAGE, 20 * PAGE
"""A span with more runs is cut; after one with fewer the next is longer."""

LEAST_SPAN_MS = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """Runs that started up to `until` (epoch milliseconds) and not before the span before."""

    runs: tuple[Run, ...]
    until: int


def spans(api: ApiRuns, wanted: RunQuery) -> Iterator[Span]:
    """All runs since `wanted.start_from`, in spans; `until` is never later than the start of the newest run."""
    start = wanted.start_from or 0
    runs, more = next(api.pages(wanted))
    newest = max((milliseconds(run.start) for run in runs), default=start)
    if not more:
        yield Span(tuple(runs), newest)
        return
    length = FIRST_SPAN_MS
    while start <= newest:
        end = min(start + length, newest)
        found = _listed(api, replace(wanted, start_from=start, start_to=end), MANY if length > LEAST_SPAN_MS else None)
        if found is None:
            length = max(length // 4, LEAST_SPAN_MS)
            continue
        yield Span(tuple(found), end)
        start = end + 1
        if len(found) < FEW:
            length *= 4


def _listed(api: ApiRuns, wanted: RunQuery, most: int | None) -> list[Run] | None:
    """All runs of a span; None if there are more than `most`."""
    found: dict[int, Run] = {}
    for runs, more in api.pages(wanted):
        found |= {run.run_id: run for run in runs}  # one that moved between two pages is on both
        if more and most is not None and len(found) >= most:
            return None
    return list(found.values())

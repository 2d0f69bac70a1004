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
MANY, WANTED, ENOUGH = 80 * PAGE, 40 * PAGE, 8 * PAGE
"""A span that seems to have more than MANY runs, as soon as ENOUGH are seen to tell, is cut to one that has about
WANTED; the next is as long as the one before tells that it needs to be."""

GROWTH = 16
"""No span is so many times longer than the one before."""

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
        found, expected = _listed(api, replace(wanted, start_from=start, start_to=end))
        length = max(LEAST_SPAN_MS, int((end - start) * min(GROWTH, WANTED / max(expected, 1))))
        if found is not None:
            yield Span(tuple(found), end)
            start = end + 1


def _listed(api: ApiRuns, wanted: RunQuery) -> tuple[list[Run] | None, float]:
    """All runs of a span, and how many; None, and how many are to be expected, if those are more than MANY."""
    found: dict[int, Run] = {}
    first, last = wanted.start_from or 0, wanted.start_to or 0
    for runs, more in api.pages(wanted):
        found |= {run.run_id: run for run in runs}  # one that moved between two pages is on both
        if more and len(found) >= ENOUGH and last - first > LEAST_SPAN_MS:
            seen = last - min(milliseconds(run.start) for run in runs)
            expected = len(found) * (last - first) / max(seen, 1)
            if expected > MANY:
                return None, expected
    return list(found.values()), len(found)

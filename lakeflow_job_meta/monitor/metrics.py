"""The monitor's numbers as Prometheus reads them; the library is imported only where somebody asked for them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from lakeflow_job_meta.model.plan import Outcome
from lakeflow_job_meta.monitor.health import Health
from lakeflow_job_meta.monitor.listen import Page
from lakeflow_job_meta.workspace.calls import Calls

PREFIX = "lakeflow_job_meta"
RESULTS = ("changed", "unchanged", "standby", "failed")
ENDS = ("0.01", "0.05", "0.1", "0.5", "1.0", "5.0", "10.0", "30.0", "60.0", "300.0", "600.0", "+Inf")
"""Seconds: from a look that finds nothing to the first apply of thousands of jobs."""

BUCKETS = tuple(map(float, ENDS))

Read = Callable[[Health], float | None]

GAUGES: dict[str, tuple[str, Read]] = {
    "failing_modules": ("Modules that fail at present.", lambda health: health.failing),
    "file_findings": (
        "What is wrong with the watched files and the pipeline registry at present.",
        lambda health: health.findings,
    ),
    "last_cycle_timestamp_seconds": (
        "When the last cycle ended, well or not.",
        lambda health: _seconds(health.last_cycle_at),
    ),
    "last_success_timestamp_seconds": (
        "When the last cycle ended that could look at all it had to.",
        lambda health: _seconds(health.last_success_at),
    ),
    "standby": (
        "1 while another monitor works, or somebody else holds the lease.",
        lambda health: bool(health.standby),
    ),
    "lease_held": ("1 while this monitor changes jobs.", lambda health: health.lease_held),
    "control_table_version": ("The control table's version at the last look.", lambda health: health.control_version),
    "modules": (
        "Modules at the last look at all of them.",
        lambda health: health.extent.modules if health.extent else None,
    ),
    "jobs": (
        "Modules that have a job, at the last look at all of them.",
        lambda health: health.extent.jobs if health.extent else None,
    ),
    "drifted_modules": (
        "Modules whose job had drifted at the last look at the workspace.",
        lambda health: health.extent.drifted if health.extent else None,
    ),
}
"""What is read off the state of health; None: not known yet."""


class Metrics(Collector):
    """Counters of one monitor, in a registry of their own.

    Args:
        health: Tells the present state of health.
        calls: What was sent to the workspace.
    """

    def __init__(self, health: Callable[[], Health], calls: Calls) -> None:
        self._health = health
        self._calls = calls
        self._lock = threading.Lock()
        self._cycles = Counter[str](dict.fromkeys(RESULTS, 0))  # 0 is known from the start
        self._actions = Counter[tuple[str, str]]()
        self._durations, self._seconds = [0] * len(BUCKETS), 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def cycle(self, result: str, seconds: float) -> None:
        """Count a cycle."""
        with self._lock:
            self._cycles[result] += 1
            self._durations[bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds

    def action(self, outcome: Outcome) -> None:
        """Count what became of one action."""
        with self._lock:
            self._actions[str(outcome.action.kind), "done" if outcome.done else "failed"] += 1

    def page(self) -> Page:
        """All of it in the text format that every Prometheus reads."""
        return Page(generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4)

    def collect(self) -> Iterator[Metric]:
        """All samples but those of the process."""
        with self._lock:
            cycles = {(result,): number for result, number in self._cycles.items()}
            actions, durations, seconds = dict(self._actions), tuple(self._durations), self._seconds
        yield _counter("cycles", "Looks, by what came of them.", ("result",), cycles)
        ends = zip(ENDS, accumulate(durations), strict=True)
        text = "How long a look took."
        yield HistogramMetricFamily(f"{PREFIX}_cycle_duration_seconds", text, buckets=list(ends), sum_value=seconds)
        yield _counter("actions", "What was done to jobs.", ("action", "result"), actions)
        requests = self._calls.numbers()
        yield _counter("workspace_requests", "Requests to the workspace.", ("method", "status"), requests)
        health = self._health()
        for name, (text, read) in GAUGES.items():
            value = read(health)
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=float(value))


def _counter(
    name: str, text: str, labels: tuple[str, ...], numbers: Mapping[tuple[str, ...], int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"{PREFIX}_{name}_total", text, labels=labels)
    for values, number in sorted(numbers.items()):
        family.add_metric(values, number)
    return family


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None

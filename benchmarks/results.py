"""Results as data: what was measured, where and with which versions; kept in `results.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Cost

FILE = Path(__file__).with_name("results.json")
PACKAGES = ("lakeflow-job-meta", "databricks-sdk", "deltalake", "duckdb")


@dataclass(frozen=True, slots=True)
class Run:
    """The least that a case cost at one size on one server."""

    modules: int
    latency_ms: int
    case: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class Results:
    """All runs, in the order in which they were made; each is the least of `repeats`."""

    made: Mapping[str, str]
    repeats: int
    runs: Sequence[Run]

    def of(self, case: str, modules: int, latency_ms: int) -> Cost | None:
        """The cost of a case, if it was measured."""
        wanted = (case, modules, latency_ms)
        return next((run.cost for run in self.runs if (run.case, run.modules, run.latency_ms) == wanted), None)

    @property
    def sizes(self) -> list[int]:
        return sorted({run.modules for run in self.runs})

    @property
    def latencies(self) -> list[int]:
        return sorted({run.latency_ms for run in self.runs})

    def to_json(self) -> str:
        """The results as JSON text, a run a line."""
        runs = ",\n  ".join(json.dumps({**asdict(run), "cost": _rounded(run.cost)}) for run in self.runs)
        made = json.dumps(dict(self.made))
        return f'{{"made": {made},\n "repeats": {self.repeats},\n "runs": [\n  {runs}\n ]}}\n'


def read_results(path: Path = FILE) -> Results:
    """Results that were saved."""
    data = json.loads(path.read_text("utf-8"))
    runs = [Run(each["modules"], each["latency_ms"], each["case"], Cost(**each["cost"])) for each in data["runs"]]
    return Results(data["made"], data["repeats"], runs)


def where_and_when(load: float) -> dict[str, str]:
    """The day, the machine's class, the versions; `load` is how much else it had to do before."""
    made = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "cores": str(os.cpu_count()), "system": platform.system()}
    made["load"] = f"{load:.1f}"
    return {**made, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def _rounded(cost: Cost) -> dict[str, object]:
    return {**asdict(cost), "wall": round(cost.wall, 4), "cpu": round(cost.cpu, 4), "peak": round(cost.peak, 1)}

"""Results as a picture: how cost grows with the number of jobs, and with the number of changed rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
from benchmarks.goals import CPU, REQUESTS
from benchmarks.report import figure
from benchmarks.results import Results


@dataclass(frozen=True, slots=True)
class Line:
    """One case over all sizes; told apart without colour, by dashes and markers."""

    case: str
    label: str
    dashes: str
    marker: str


LINES = (
    Line("first_apply", "first apply", "-", "o"),
    Line("no_op", "nothing changed,\nworkspace looked at", "--", "s"),
    Line("change_1", "one row changed,\n--no-refresh", "-.", "^"),
    Line("no_op_no_refresh", "nothing changed,\n--no-refresh", ":", "D"),
)
FIGURES = {CPU: "CPU time of the whole process (s)", REQUESTS: "API requests"}
INK, GRID = "#222222", "#dddddd"
RANGES = {CPU: (0.1, 100), REQUESTS: (0, 20_000)}
SIZE, DOTS_PER_INCH = (9.5, 7.5), 110


def draw(results: Results, file: Path) -> None:
    """Write the picture as PNG: above by jobs, below by changed rows at the largest size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.edgecolor": INK, "text.color": INK, "axes.labelcolor": INK})
    drawing, axes = plt.subplots(2, 2, figsize=SIZE, sharey="col", layout="constrained")
    latency, largest = results.latencies[0], results.sizes[-1]
    for column, (name, label) in enumerate(FIGURES.items()):
        above, below = axes[0][column], axes[1][column]
        for line in LINES:
            costs = [(size, results.of(line.case, size, latency)) for size in results.sizes]
            points = [(size, figure(cost, name)) for size, cost in costs if cost]
            _line(above, points, line)
        _axes(above, "jobs", label, name)
        changed = [(case.changed, results.of(case.name, largest, latency)) for case in CASES if case.changed]
        points = [(rows, figure(cost, name)) for rows, cost in changed if cost]
        _line(below, points, Line("", "apply\n--no-refresh", "-.", "^"))
        _axes(below, "changed rows, each of another job", label, name)
    axes[0][0].set_title("Cost by number of jobs, 3 tasks each", loc="left", fontweight="bold")
    axes[1][0].set_title(f"Cost by number of changed rows, of {largest:,} jobs", loc="left", fontweight="bold")
    drawing.savefig(file, dpi=DOTS_PER_INCH, pil_kwargs={"optimize": True}, metadata={"Software": None})
    plt.close(drawing)


def _line(axes: Any, points: Sequence[tuple[int, float]], line: Line) -> None:
    if not points:
        return
    across, up = zip(*points, strict=True)
    axes.plot(across, up, line.dashes, marker=line.marker, color=INK, markersize=5, linewidth=1.3, clip_on=False)
    # A label at the very bottom would stand on the numbers of the axis.
    beside = {"xytext": (8, 0), "textcoords": "offset points", "va": "center" if up[-1] else "bottom"}
    axes.annotate(line.label, (across[-1], up[-1]), fontsize=8, annotation_clip=False, **beside)


def _plain(value: float, _: object) -> str:
    return f"{value:,g}"


def _axes(axes: Any, across: str, up: str, name: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_xscale("log")
    # Requests may be none at all, which a plain logarithm can't show.
    axes.set_yscale("symlog", linthresh=1) if name == REQUESTS else axes.set_yscale("log")
    axes.set_ylim(*RANGES[name])
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.tick_params(labelleft=True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_plain))
        axis.set_minor_locator(NullLocator())
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

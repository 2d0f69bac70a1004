"""Results as tables in Markdown, on the screen and in docs/performance.md. Pure but for `update_page`.

`python -m benchmarks.report` writes page and plot anew from the results that were saved, without measuring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.cases import TITLES
from benchmarks.goals import CPU, GIVEN, GIVEN_MODULES, GOALS, PEAK, REQUESTS, STATE_COMMITS, STATE_TABLE, Goal
from benchmarks.measure import Cost
from benchmarks.results import Results, read_results

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, PLOT = DOCS / "performance.md", DOCS / "performance.png"
BEGIN, END = "<!-- measured: `python -m benchmarks --save` writes this part -->", "<!-- /measured -->"
SHARED_PREFIXES = ("/api/2.2/", "/api/2.0/", "/.well-known/")
LEFT = ("case", "what", "figure", "requests by call", "commits by table")
"""Columns that hold text; the others hold numbers."""

OURS = {"A": "no_op", "B": "no_op_no_refresh"}
PEER_HEAD = ("what", REQUESTS, CPU, PEAK, *(f"{name} of {letter}" for letter in OURS for name in (REQUESTS, CPU, PEAK)))


def report(results: Results, sizes: Sequence[int]) -> str:
    """All tables: goals by server, others, and every figure at these sizes."""
    parts = [made_line(results)]
    for latency in results.latencies:
        if rows := list(_goal_rows(results, latency)):
            parts += [f"### Goals, {server(latency)}", table(_goal_head(results), rows)]
    if peers := _peer_rows(results):
        parts += [f"### {GIVEN_MODULES:,} unchanged jobs, here and elsewhere", table(PEER_HEAD, peers)]
    for size in sizes:
        parts += [f"### {size:,} modules", table(_cost_head(results), list(_cost_rows(results, size)))]
    return "\n\n".join(parts)


def made_line(results: Results) -> str:
    """When, where, with which versions."""
    made = dict(results.made)
    machine = f"{made.pop('date')}, {made.pop('cores')} cores, {made.pop('system')}"
    machine += f", load {load} before" if (load := made.pop("load", "")) else ""
    versions = ", ".join(f"{name} {number}" for name, number in made.items())
    each = f"the least of {results.repeats} runs" if results.repeats > 1 else "one run"
    return f"Measured {machine}; {versions}.\nEach figure: {each}."


def server(latency_ms: int) -> str:
    """Which server it was, in words."""
    return f"a server that takes {latency_ms} ms for each answer" if latency_ms else "a server that answers at once"


def figure(cost: Cost, name: str) -> float:
    """One figure of a cost by its name in a goal."""
    figures = {
        REQUESTS: sum(cost.requests.values()),
        CPU: cost.cpu,
        PEAK: cost.peak,
        STATE_COMMITS: cost.commits.get(STATE_TABLE, 0),
    }
    return figures[name]


def goal_sizes(results: Results) -> list[int]:
    """The sizes measured that there are goals for."""
    return [size for size in results.sizes if any(size in goal.most for goal in GOALS)]


def ratio(value: float, most: float) -> str:
    """How a value stands to its goal; one that misses it is set in bold.

    >>> ratio(1.5, 2), ratio(11, 10), ratio(0, 0), ratio(1, 0)
    ('0.75', '**1.10**', 'reached', '**missed**')
    """
    if not most:
        return "**missed**" if value else "reached"
    text = f"{value / most:.2f}" if value >= most / 100 else f"{value / most:.4f}"
    return text if value <= most else f"**{text}**"


def times(theirs: float, ours: float) -> str:
    """How many times ours theirs is.

    >>> times(29, 1.8), times(140, 0.35), times(1019, 0)
    ('16.1 ×', '400 ×', 'ours is 0')
    """
    if not ours:
        return "ours is 0"
    return f"{theirs / ours:.1f} ×" if theirs < 100 * ours else f"{theirs / ours:.0f} ×"


def number(value: float, name: str) -> str:
    """A figure as people read it."""
    return seconds(value) if name == CPU else f"{value:,.0f}"


def seconds(value: float) -> str:
    """Seconds, with more digits where they are few."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def cost_cells(case: str, cost: Cost) -> list[str]:
    """One case's title and figures."""
    return [TITLES[case], *(number(figure(cost, name), name) for name in (REQUESTS, CPU, PEAK)), seconds(cost.wall)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns stand below each other on a screen too."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    left = [name in LEFT for name in head]
    rule = ["-" * width if text else "-" * (width - 1) + ":" for width, text in zip(widths, left, strict=True)]
    padded = [
        [cell.ljust(width) if text else cell.rjust(width) for cell, width, text in zip(row, widths, left, strict=True)]
        for row in (head, *rows)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (padded[0], rule, *padded[1:]))


def update_page(results: Results) -> None:
    """Put the tables between the marks of docs/performance.md."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{page_part(results)}{after}", "utf-8")


def page_part(results: Results) -> str:
    """What stands on the page, with its marks."""
    return f"{BEGIN}\n\n{report(results, goal_sizes(results))}\n\n{END}"


def _goal_head(results: Results) -> list[str]:
    sizes = (column for size in goal_sizes(results) for column in (f"{size:,} modules", "at most", "ratio"))
    return ["case", "figure", *sizes]


def _goal_rows(results: Results, latency: int) -> Iterator[list[str]]:
    for goal in GOALS:
        cells = [cell for size in goal_sizes(results) for cell in _goal_cells(results, goal, size, latency)]
        if any(cells):
            yield [TITLES[goal.case], goal.figure, *cells]


def _goal_cells(results: Results, goal: Goal, size: int, latency: int) -> tuple[str, str, str]:
    cost, most = results.of(goal.case, size, latency), goal.most.get(size)
    if cost is None:
        return "", "", ""
    value = figure(cost, goal.figure)
    shown = number(value, goal.figure)
    return (shown, "", "") if most is None else (shown, f"{most:,g}", ratio(value, most))


def _peer_rows(results: Results) -> list[list[str]]:
    """Others beside ours (A looks at the workspace, B doesn't), and how many times ours theirs are."""
    found = {letter: results.of(case, GIVEN_MODULES, 0) for letter, case in OURS.items()}
    ours = {letter: cost for letter, cost in found.items() if cost is not None}
    if len(ours) < len(OURS):
        return []
    blank = [""] * (len(PEER_HEAD) - 4)
    rows = [[f"{letter}: {TITLES[OURS[letter]]}", *_three(ours[letter]), *blank] for letter in ours]
    for peer in GIVEN:
        theirs: Mapping[str, float] = {REQUESTS: peer.requests, CPU: peer.cpu, PEAK: peer.peak}
        ratios = [times(value, figure(cost, name)) for cost in ours.values() for name, value in theirs.items()]
        rows.append([peer.title, *(f"{value:,g}" for value in theirs.values()), *ratios])
    return rows


def _three(cost: Cost) -> list[str]:
    return [number(figure(cost, name), name) for name in (REQUESTS, CPU, PEAK)]


def _cost_head(results: Results) -> list[str]:
    """CPU and wall time of each server side by side; the counts are those of the first."""
    after = [f" ({latency} ms)" if latency else "" for latency in results.latencies]
    columns = [f"{name}{where}" for name in (CPU, PEAK, "wall s") for where in after]
    return ["case", REQUESTS, *columns, "requests by call", "commits by table"]


def _cost_rows(results: Results, size: int) -> Iterator[list[str]]:
    for case, title in TITLES.items():
        found = [results.of(case, size, latency) for latency in results.latencies]
        costs = [cost for cost in found if cost is not None]
        if not costs:
            continue
        first = costs[0]
        columns = [seconds(cost.cpu) for cost in costs] + [f"{cost.peak:,.0f}" for cost in costs]
        columns += [seconds(cost.wall) for cost in costs]
        calls = ", ".join(f"{count:,} {_short(call)}" for call, count in first.requests.items())
        tables = ", ".join(f"{count} {name}" for name, count in first.commits.items())
        yield [title, number(figure(first, REQUESTS), REQUESTS), *columns, calls, tables]


def _short(call: str) -> str:
    method, _, path = call.partition(" ")
    for prefix in SHARED_PREFIXES:
        path = path.removeprefix(prefix)
    return f"{method} {path}"


if __name__ == "__main__":
    from benchmarks.plot import draw

    update_page(read_results())
    draw(read_results(), PLOT)

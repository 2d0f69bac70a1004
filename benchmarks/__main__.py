"""`python -m benchmarks`: run all cases in order, print what each cost and how that stands to the goals."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from benchmarks.cases import CASES
from benchmarks.measure import Cost, Ground, ground, least, measure, measure_ticks
from benchmarks.report import PLOT, cost_cells, report, server, update_page
from benchmarks.results import FILE, Results, Run, read_results, where_and_when


def main() -> None:
    """Measure, print, and with --save keep the results, the plot and the tables of docs/performance.md."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--modules", type=int, nargs="+", default=[1000], help="modules of 3 sources each")
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0], help="what the server takes for an answer")
    parser.add_argument("--repeat", type=int, default=1, help="run everything so often, and take the least")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--save", action="store_true", help="write results.json, and plot and tables in docs/")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    runs = [run for size in given.modules for ms in given.latency_ms for run in measured(size, ms, given.repeat)]
    results = Results(where_and_when(load), given.repeat, runs)
    print(results.to_json() if given.output == "json" else report(results, results.sizes))
    if given.save:
        from benchmarks.plot import draw

        FILE.write_text(results.to_json(), "utf-8")
        saved = read_results()  # rounded, so that the page is what the file says
        update_page(saved)
        draw(saved, PLOT)


def measured(modules: int, latency_ms: int, repeat: int) -> list[Run]:
    """The cases at one size on one server, each the least of its repeats."""
    costs: dict[str, list[Cost]] = {}
    for again in range(repeat):
        tell(f"{modules:,} modules, {server(latency_ms)}, run {again + 1} of {repeat}")
        with ground(modules, latency_ms) as place:
            for name, cost in one_by_one(place):
                title, requests, cpu, peak, wall, *_ = cost_cells(name, cost)
                tell(f"  {title:52}{requests:>8} requests{cpu:>9} CPU s{peak:>5} MB{wall:>9} s")
                costs.setdefault(name, []).append(cost)
    return [Run(modules, latency_ms, name, least(each)) for name, each in costs.items()]


def one_by_one(place: Ground) -> Iterator[tuple[str, Cost]]:
    """All cases in their order; those that change more rows than there are modules are left out."""
    for case in CASES:
        if case.changed <= place.modules:
            yield case.name, measure(case, place)
    yield from measure_ticks(place).items()


def tell(text: str) -> None:
    """Progress goes to standard error: standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

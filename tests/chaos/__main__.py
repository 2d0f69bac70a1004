"""`python -m tests.chaos --all`: every campaign in full, and a table of what came out."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.contest import Tally, contest
from tests.chaos.kill_points import SCENARIOS, Course, Result, Scenario, flags, in_pairs
from tests.local_server import running_server

WORKERS = 3
HEAD = f"{'scenario':72}{'kill points':>12}{'failures':>10}{'seconds':>9}"
CONTESTS = (2, 4)


def main() -> int:
    """Run and print; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every kill point, and the contests")
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--seconds", type=float, default=60, help="how long each contest of appliers lasts")
    given = parser.parse_args()
    if not given.all and not given.only:
        parser.error("say --all, or --only and some scenario; pytest runs a part of each")
    wanted = [(scenario, lag) for scenario in SCENARIOS for lag in scenario.lags if given.only in scenario.name]
    print(HEAD, flush=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        results = [each for course in pool.map(kill_everywhere, *zip(*wanted, strict=True)) for each in course]
    bad = sum(bool(each.problems) for each in results)
    reached = sum(each.reached for each in results)
    print(f"{'all':72}{reached:12}{bad:10}", flush=True)
    tallies = [compete(appliers, given.seconds) for appliers in CONTESTS] if given.all else []
    return int(bad > 0 or any(tally.problems for tally in tallies))


def kill_everywhere(scenario: Scenario, lag: float) -> list[Result]:
    """Run all points of one scenario on a server of its own, and print a line."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "site", *flags(lag)) as site:
        course = Course(scenario, Path(folder), site, lag)
        course.survey()
        results = [course.run(point) for point in in_pairs(course.points)]
    name = scenario.name + (f", lists lag {lag} s" if lag else "")
    bad = [result for result in results if result.problems]
    reached = sum(result.reached for result in results)
    lines = [f"{name:72}{reached:12}{len(bad):10}{time.monotonic() - started:9.0f}"]
    lines += [f"    {described(result)}" for result in bad[:SHOWN]]
    print("\n".join(lines), flush=True)
    return results


def compete(appliers: int, seconds: float) -> Tally:
    """One contest on a server of its own, and its line."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder) / "site", "--token-per-workspace") as site,
    ):
        tally = contest(Path(folder), site, appliers, seconds, seed=appliers)
    name = f"{appliers} appliers at once: {tally.applies} applies, {tally.edits} edits"
    lines = [f"{name:72}{tally.kills:12}{len(tally.problems):10}{tally.seconds:9.0f}"]
    print("\n".join([*lines, *(f"    {problem}" for problem in tally.problems[:SHOWN])]), flush=True)
    return tally


SHOWN = 10
"""Failures of one scenario that are printed."""


def described(result: Result) -> str:
    """One line a failure."""
    return f"{result.point}: {'; '.join(result.problems[:6])}"


if __name__ == "__main__":
    sys.exit(main())

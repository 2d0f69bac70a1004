"""A part of the kill campaign, chosen by a seed and bounded in time; `python -m tests.chaos --all` runs all of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.applier import send
from tests.chaos.ground import LAG_MARGIN, Ground, module_names, rows_of
from tests.chaos.kill_points import BEFORE_RESULTS, LAG, SCENARIOS, Course, flags, slice_of
from tests.local_server import running_server

SECONDS = float(os.environ.get("CHAOS_SECONDS", "60"))
"""How long all of this file may take, without the scenario that is under way then."""
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0.0, LAG], ids=["lists that tell all", "lists that lag"])
def test_killed_anywhere_and_run_again_it_is_as_if_nobody_had_killed_it(tmp_path: Path, lag: float) -> None:
    with running_server(tmp_path / "site", *flags(lag)) as site:
        courses = [Course(scenario, tmp_path, site, lag) for scenario in SCENARIOS if lag in scenario.lags]
        results = list(slice_of(courses, SECONDS / 2, SEED))
    reached = sum(result.reached for result in results)
    print(f"{reached} kill points")
    assert [f"{each.point}: {each.problems}" for each in results if each.problems] == []
    assert reached >= len(results) * 0.8


def test_a_create_sent_long_after_the_intents_is_still_waited_for(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", *flags(LAG)) as site:
        ground = Ground.new(tmp_path, site, LAG)
        ground.sql(*rows_of((1, 2)))
        slow = {"path": "/jobs/create$", "method": "POST", "nth": 1, "action": "delay", "seconds": LAG + 1}
        one_by_one = {"concurrency": 1, "list_lag_seconds": LAG + LAG_MARGIN}
        report = send(ground.errand(kill=BEFORE_RESULTS, settings=one_by_one, faults=(slow,)))
        site.no_faults()
        rerun = ground.settle()
        ground.wait_out_lag()
        assert report.killed
        assert (rerun.error, rerun.left) == ("", ())
        assert ground.faults(set(module_names((1, 2)))) == []

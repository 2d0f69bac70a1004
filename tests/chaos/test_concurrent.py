"""Appliers that compete while rows change and processes die: in the end the jobs are what the rows say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.contest import contest
from tests.local_server import Site, running_server

SECONDS = 10.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("contest"), "--token-per-workspace") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("appliers", [2, 4])
def test_appliers_that_compete_and_die_leave_what_the_rows_say(tmp_path: Path, site: Site, appliers: int) -> None:
    tally = contest(tmp_path, site, appliers, SECONDS, seed=appliers)
    print(tally)
    assert tally.problems == ()
    assert tally.edits > 10
    assert tally.kills > 3
    assert tally.applies > 3

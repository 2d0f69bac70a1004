"""`make test`: several runs at once, whose endings are one and whose words are all told."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

from tests import __main__ as runs

ROOT = Path(__file__).parents[2]


def test_the_endings_of_several_runs_are_one() -> None:
    assert doctest.testmod(runs).failed == 0


def test_all_are_told_and_any_makes_the_whole_fail() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests", "--no-such-option"], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    parts = done.stdout.split("\nBeside it ran ")
    assert [each.partition(":")[0] for each in parts[1:]] == list(runs.BESIDE)
    assert all("--no-such-option" in each for each in parts)


def test_the_halves_are_all_that_needs_spark() -> None:
    assert all((ROOT / each).is_file() for each in runs.FIRST_HALF)

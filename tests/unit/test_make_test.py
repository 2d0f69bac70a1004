"""`make test`: two runs at once, whose endings are one and whose words are both told."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

from tests import __main__ as both

ROOT = Path(__file__).parents[2]


def test_the_endings_of_two_runs_are_one() -> None:
    assert doctest.testmod(both).failed == 0


def test_both_are_told_and_either_makes_the_whole_fail() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests", "--no-such-option"], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    first, heading, second = done.stdout.partition(f"Beside it ran {both.PARITY}:")
    assert heading
    assert "--no-such-option" in first and "--no-such-option" in second

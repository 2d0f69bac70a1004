"""All tests, in two runs side by side: those that share one Spark session in one process, all others on every core.

Neither run keeps two cores busy by itself. What the first says is shown when the second has ended: both can be read.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence

PARITY = "tests/parity"
ALONE = ("-n0", "--timeout", "900", PARITY)
SPREAD = ("-n", "auto", f"--ignore={PARITY}")

NOTHING_CHOSEN = 5
"""pytest's exit status where its arguments choose no test."""


def main(arguments: Sequence[str]) -> int:
    """Run both with these arguments of pytest; the exit status of the two together."""
    pytest = (sys.executable, "-m", "pytest", "-q")
    with tempfile.TemporaryFile() as told:
        alone = subprocess.Popen([*pytest, *ALONE, *arguments], stdout=told, stderr=subprocess.STDOUT)
        spread = subprocess.Popen([*pytest, *SPREAD, *arguments])
        ended = [_ended(each) for each in (spread, alone)]
        _ = told.seek(0)
        print(f"\nBeside it ran {PARITY}:", flush=True)
        sys.stdout.buffer.write(told.read())
        sys.stdout.flush()
    return status(*ended)


def _ended(run: subprocess.Popen[bytes]) -> int:
    try:
        return run.wait()
    except KeyboardInterrupt:
        return run.wait()  # it got the same signal, and takes down what it started


def status(*ended: int) -> int:
    """The exit status of several runs: that of one that failed. One that had nothing to run is fine beside others.

    >>> status(0, 0), status(1, 0), status(0, 2), status(5, 0), status(5, 5)
    (0, 1, 2, 0, 5)
    """
    failed = [each for each in ended if each not in (0, NOTHING_CHOSEN)]
    return failed[0] if failed else min(ended)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

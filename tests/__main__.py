"""All tests, in runs side by side: what needs Spark in two, each with a session of its own; all else on every core.

A session keeps no core busy by itself. What the first run says is shown at once, what the others say when it has ended:
all can be read.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack

PARITY = "tests/parity"
FIRST_HALF = tuple(
    f"{PARITY}/test_{name}.py"
    for name in (
        "bootstrap", "bulk", "contract", "cross_engine", "days", "notebooks_on_spark", "setup_migrations", "stage",
    )
)  # fmt: skip
"""About half of the work; what is new goes into the other half by itself."""

SPREAD = ("-n", "auto", f"--ignore={PARITY}")
ON_SPARK = ("-n0", "--timeout", "900")
BESIDE = {
    f"the first half of {PARITY}": (*ON_SPARK, *FIRST_HALF),
    f"the second half of {PARITY}": (*ON_SPARK, PARITY, *(f"--ignore={each}" for each in FIRST_HALF)),
}

NOTHING_CHOSEN = 5
"""pytest's exit status where its arguments choose no test."""


def main(arguments: Sequence[str]) -> int:
    """Run all with these arguments of pytest; the exit status of all together."""
    pytest = (sys.executable, "-m", "pytest", "-q")
    with ExitStack() as files:
        told = [files.enter_context(tempfile.TemporaryFile()) for _ in BESIDE]
        beside = [
            subprocess.Popen([*pytest, *chosen, *arguments], stdout=file, stderr=subprocess.STDOUT)
            for chosen, file in zip(BESIDE.values(), told, strict=True)
        ]
        ended = [_ended(subprocess.Popen([*pytest, *SPREAD, *arguments]))]
        for name, file, run in zip(BESIDE, told, beside, strict=True):
            ended.append(_ended(run))
            _ = file.seek(0)
            print(f"\nBeside it ran {name}:", flush=True)
            sys.stdout.buffer.write(file.read())
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

"""How a demo shows what it does: each command is run as it is shown, and whatever isn't as it should be ends it."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 80


def prepare(home: Path, environment: Mapping[str, str]) -> None:
    """A fresh home; and nothing in the environment may lead to a real workspace."""
    os.chdir(ROOT)
    for name in list(os.environ):
        if name.startswith(("LAKEFLOW_", "DATABRICKS_")):
            del os.environ[name]
    os.environ.update(environment)
    from lakeflow_job_meta.workspace.launcher import stop_local

    if home.exists():
        stop_local(home)
        shutil.rmtree(home)
    home.mkdir(parents=True)


def ljm(*arguments: str, shown: str = "") -> list[str]:
    """Run one command, showing it; returns the lines of its output, those of stderr first."""
    from lakeflow_job_meta.cli.app import run

    say(f"$ {shown or shlex.join(['ljm', *arguments])}")
    output, talk = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(talk):
        code = run(list(arguments))
    if code:
        show(talk.getvalue().splitlines())
        fail(f"ljm {arguments[0]} exits with 0, not {code}")
    lines = output.getvalue().strip("\n").splitlines()
    if arguments[0] in ("load", "apply", "contract"):
        return [*talk.getvalue().splitlines()[:1], *lines]
    return lines


def sql(text: str, *, shown: str = "") -> list[str]:
    """Run statements that come by standard input, which spares quoting them for the shell."""
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        return ljm("sql", shown=shown or f"ljm sql <<'SQL'\n{text}SQL")
    finally:
        sys.stdin = before


def all_jobs() -> list[dict[str, dict[str, dict[str, str]]]]:
    with quietly():
        return json.loads("\n".join(ljm("local", "jobs", "-o", "json")))


@contextmanager
def quietly() -> Iterator[None]:
    with redirect_stdout(io.StringIO()):
        yield


def heading(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    say(f"\n{bold}== {text}{plain}\n")


def show(lines: list[str]) -> None:
    """Output of a command; long lines are cut, since this is a tour."""
    for line in lines:
        shown = line.rstrip()
        say(shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 1]}…")


def say(text: str) -> None:
    print(text, flush=True)


def check(holds: bool, what: str) -> None:
    if not holds:
        fail(what)


def fail(what: str) -> NoReturn:
    sys.exit(f"\nThe demo expects that {what}, but it isn't so.")

"""Results on stdout, talk on stderr: text, tables, JSON, CSV."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import textwrap
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lakeflow_job_meta.cli.options import Rows
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import ApplyError, InputError, LakeflowJobMetaError

if TYPE_CHECKING:
    from rich.console import Console

    from lakeflow_job_meta.model.finding import Finding
    from lakeflow_job_meta.model.plan import AnyOutcome, AnyPlan, Shown

READABLE = 16
"""So many characters a column needs, if its cells are that long, before a table is no longer readable."""

GAP = 3
"""Between two columns."""

WIDE = 10_000
"""Columns of a table that isn't shown in a terminal: nothing is cut where a program reads it."""


def say(text: str) -> None:
    """Talk: to stderr."""
    print(text, file=sys.stderr, flush=True)


def print_data(text: str) -> None:
    """A result: to stdout. Whoever reads it may stop reading: that must not stop what the command is doing."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_finding(finding: Finding) -> None:
    """What one check found, as text: to stdout."""
    print_data(f"{finding.status:<10} {finding.check:<14} {finding.found}")
    if finding.hint:
        print_data(f"{'':<10} {'':<14} hint: {finding.hint}")


def print_plan(plan: AnyPlan[Shown]) -> None:
    """A plan as text: to stdout. What is there for looking up stands back where a terminal can show that."""
    from lakeflow_job_meta.model.plan_text import plan_text

    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
    print_data(plan_text(plan) if plain else plan_text(plan, dim=_dim))


def _dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m"


def print_json(value: Any) -> None:
    """A result as JSON: to stdout."""
    print_data(json.dumps(value, indent=2, ensure_ascii=False, default=_json_value))


def print_rows(rows: Sequence[Mapping[str, Any]], output: Rows) -> None:
    """Rows to stdout as a table, JSON or CSV."""
    if output is Rows.JSON:
        print_json([{name: _number(value) for name, value in row.items()} for row in rows])
    elif output is Rows.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(rows[0] if rows else ())
        writer.writerows([_text(value, null="") for value in row.values()] for row in rows)
    else:
        print_table(list(rows[0]) if rows else [], ([_text(value) for value in row.values()] for row in rows))
        say(counted(len(rows), "row"))


def table_width() -> int | None:
    """What a table has to fit into; None: as wide as the terminal, or as COLUMNS says."""
    asked = os.environ.get("COLUMNS", "")
    return None if sys.stdout.isatty() or (asked.isdecimal() and int(asked) > 0) else WIDE


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], sentence: Callable[[Sequence[str]], str] | None = None
) -> None:
    """A table to stdout; long cells fold, nothing is cut. Where it is too wide: each row as a sentence, or as lines of
    its own."""
    if not columns:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=table_width())
    rows = list(rows)
    if _least_width(columns, rows) > console.width:
        if sentence is None:
            _print_records(console, columns, rows)
        else:
            told = (textwrap.fill(sentence(row), console.width, subsequent_indent="    ") for row in rows)
            print_data("\n".join(told))
        return
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The width at which every column is as wide as its longest cell, or as READABLE."""
    longest = [max([len(name), *map(len, cells)]) for name, *cells in zip(columns, *rows, strict=True)]
    return sum(max(len(name), min(width, READABLE)) + GAP for name, width in zip(columns, longest, strict=True))


def _print_records(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    for number, row in enumerate(rows, start=1):
        console.rule(Text(f"row {number}"), align="left")
        record = Table(box=None, show_header=False, pad_edge=False)
        record.add_column(no_wrap=True)
        record.add_column(overflow="fold")
        for name, cell in zip(columns, row, strict=True):
            record.add_row(Text(name), Text(cell))
        console.print(record)


def error_text(error: LakeflowJobMetaError) -> str:
    """An error with all its findings and its hint, as it is told on stderr."""
    return f"error: {error}"


def error_json(error: LakeflowJobMetaError) -> dict[str, Any]:
    """An error as JSON-ready values."""
    return {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint or None,
        "diagnostics": [each.to_dict() for each in error.diagnostics] if isinstance(error, InputError) else [],
        "failures": error.failures if isinstance(error, ApplyError) else {},
    }


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[AnyOutcome], None]]:
    """Shows outcomes as they come, on stderr: a bar in a terminal, a line each elsewhere."""
    if not sys.stderr.isatty():
        yield lambda outcome: say(_outcome_line(outcome))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_stderr(), transient=True) as bar:
        task = bar.add_task(title, total=total)

        def advance(outcome: AnyOutcome) -> None:
            bar.advance(task)
            if not outcome.done:
                bar.console.print(_outcome_line(outcome), markup=False, highlight=False)

        yield advance


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _outcome_line(outcome: AnyOutcome) -> str:
    what = "done" if outcome.done else f"FAILED: {outcome.error}"
    return f"{outcome.action.subject}: {outcome.action.kind} {what}"


def _text(value: object, null: str = "NULL") -> str:
    if value is None:
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=_json_value)
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def _number(value: Any) -> Any:
    """JSON knows neither infinity nor what isn't a number."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        # A number, unless it has more digits than a JSON reader would keep.
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date) else str(value)

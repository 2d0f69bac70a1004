"""Rows as people and programs read them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from lakeflow_job_meta.cli.options import Rows
from lakeflow_job_meta.cli.render import print_rows

WIDE = "from lakeflow_job_meta.cli.render import print_table; print_table({columns!r}, {rows!r})"


def shown(columns: list[str], rows: list[list[str]]) -> str:
    """What a terminal of 80 columns shows."""
    ours, theirs = pty.openpty()
    program = WIDE.format(columns=columns, rows=rows)
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    subprocess.run([sys.executable, "-c", program], stdout=theirs, env=environment, check=True)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # all was read
            part = b""
        if not part:
            os.close(ours)
            return text.decode().replace("\r\n", "\n")
        text += part


def test_a_table_too_wide_for_the_terminal_is_shown_row_by_row() -> None:
    columns = [f"column{number}" for number in range(7)]
    text = shown(columns, [["x" * 30] * 7, ["y" * 200] * 7])
    assert text.count("row ") == 2
    assert text.count("x" * 30) == 7
    assert all(len(line) <= 80 for line in text.split("\n"))
    assert len(text.split("\n")) < 50


def test_a_table_that_fits_stays_a_table() -> None:
    text = shown(["a", "b"], [["1", "z" * 100]])
    assert "row 1" not in text
    assert text.count("z") == 100


def test_json_has_numbers_where_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    exact = Decimal("12345678901234567890.123456789012345678")
    row = {
        "short": Decimal("2.60"),
        "long": exact,
        "nan": float("nan"),
        "bytes": b"\x00\xff",
        "at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    print_rows([row], Rows.JSON)
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == [
        {"short": 2.6, "long": str(exact), "nan": "nan", "bytes": "00ff", "at": "2026-01-02T00:00:00+00:00"}
    ]

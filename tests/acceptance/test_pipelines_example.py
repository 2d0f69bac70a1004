"""The example of pipelines does what it says, between two databases of a private PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lakeflow_job_meta.workspace.launcher import stop_local
from tests.databases.postgres import why_none

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240
CHOSEN = ("--orders", "60", "--tables", "orders", "products", "--stages", "extract", "load")
"""As little of it as shows both kinds of loads: all of it takes a minute of a machine's time."""


@pytest.mark.slow
def test_tables_move_from_postgres_to_postgres_first_all_rows_and_then_what_is_new(tmp_path: Path) -> None:
    if reason := why_none():
        pytest.skip(reason)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "lakeflow_job_meta").symlink_to(ROOT / "lakeflow_job_meta")
    command = [sys.executable, str(tmp_path / "examples/pipelines/shop.py"), *CHOSEN]
    misleading = {"DATABRICKS_HOST": "https://production.example.com", "LAKEFLOW_WORKSPACE": "databricks"}
    environment = {**os.environ, **misleading}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False)
    finally:
        stop_local(tmp_path / ".lakeflow" / "shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("The same rows at both ends: 2 of 2 tables.") == 2
    assert 'password: "{{secrets/shop/postgres}}"' in done.stdout
    moved = [line.split() for line in done.stdout.splitlines() if line.endswith(" rows") and "_" in line]
    assert [rows for name, _, rows, _ in moved if name.endswith("orders")] == ["60", "60", "5", "5"]
    assert max(map(len, done.stdout.splitlines())) <= 80

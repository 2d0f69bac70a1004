"""The demo does what it says, from a fresh checkout, and never reaches for a real workspace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeflow_job_meta.workspace.launcher import stop_local

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240
MISLEADING = {
    "DATABRICKS_HOST": "https://production.example.com",
    "DATABRICKS_TOKEN": "not-to-be-used",
    "LAKEFLOW_WORKSPACE": "databricks",
    "LAKEFLOW_CONTROL_TABLE": "prod.etl.control",
    "LAKEFLOW_HOME": "/nonexistent",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout of its own, so that a demo that somebody runs beside the tests is left alone."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for folder in ("metadata", "lakeflow_job_meta"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    yield tmp_path
    stop_local(tmp_path / ".lakeflow" / "demo")


def run_demo(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "examples" / "demo.py")]
    environment = {**os.environ, **MISLEADING}
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False)


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_the_demo_ends_well_twice_in_a_row_and_keeps_every_job_id(checkout: Path) -> None:
    for _ in range(2):
        done = run_demo(checkout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        assert re.search(r"^Same job ids: (\d+) of \1\.$", done.stdout, re.MULTILINE)
        assert re.search(r"gold_daily_orders +SUCCESS", done.stdout)
        assert len(re.findall(r"^ store-\w+ +40 ", done.stdout, re.MULTILINE)) == 3, "each shop has its 40 orders"
        assert done.stdout.count("The same rows at both ends: 1 of 1 tables.") == 2, "all rows, then those that are new"
        assert re.search(r"^source 1\.0\.0 in main: 0 errors", done.stdout, re.MULTILINE)
        assert re.search(r"^ testhub +api_token +7 +4 +1\.0 *$", done.stdout, re.MULTILINE)
        assert "monitor | stores: create done" in done.stdout
        assert "monitor | stores: update done" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "production.example.com" not in done.stdout


def test_the_demo_fails_when_the_metadata_is_not_as_it_tells(checkout: Path) -> None:
    (checkout / "metadata").unlink()
    done = run_demo(checkout)
    assert done.returncode == 1
    assert "metadata/modules doesn't exist" in done.stdout

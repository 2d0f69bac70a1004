"""Projects for the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeflow_job_meta.workspace.launcher import stop_local
from tests.acceptance.shell import Shell


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path)
    stop_local(tmp_path / ".lakeflow")


@pytest.fixture
def shell(empty: Shell) -> Shell:
    empty("init")
    return empty

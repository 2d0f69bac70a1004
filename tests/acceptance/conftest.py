"""Projects for the command line, and for the source stage of the two example APIs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeflow_job_meta.workspace.launcher import stop_local
from tests.acceptance.shell import Shell
from tests.source_api import Api, running
from tests.stage_ground import Ground, ground


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path)
    stop_local(tmp_path / ".lakeflow")


@pytest.fixture
def shell(empty: Shell) -> Shell:
    empty("init")
    return empty


@pytest.fixture
def api() -> Iterator[Api]:
    """TestHub, a real server, faults in front of it."""
    from testhub_server import create_app

    with running(create_app()) as each:
        yield each


@pytest.fixture
def hub(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """TestHub's stage."""
    return ground(tmp_path, api, monkeypatch)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """TicketDesk's stage."""
    from ticketdesk_server import create_app

    with running(create_app()) as each:
        yield ground(tmp_path, each, monkeypatch, "ticketdesk")

"""The servers as fixtures: each started once in a session, and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases import mariadb, postgres
from tests.databases.server import DatabaseServer


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseServer]:
    """A real PostgreSQL."""
    if reason := postgres.why_none():
        pytest.skip(reason)
    with postgres.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[DatabaseServer]:
    """A real MariaDB."""
    if reason := mariadb.why_none():
        pytest.skip(reason)
    with mariadb.mariadb_server() as server:
        yield server

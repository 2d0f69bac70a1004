"""Each endpoint that an apply uses, failing in each way: the run succeeds or says why, and the next one converges."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Queue
from typing import Any

import pytest

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.errors import ApplyError, WorkspaceError
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.chaos.applier import TABLE, client_of
from tests.chaos.ground import OWN_FILE, Ground, module_names, rows_of
from tests.local_server import running_server

NUMBERS = (0, 1, 2)
"""The first has a saved query."""
SERVERS = 4
CALL_SECONDS = 1
SLOW_SECONDS = 1.5
CONFIG = "transformation_config"
CHANGES = (
    f"UPDATE {TABLE} SET {CONFIG} = replace({CONFIG}, '/v1/', '/v2/') WHERE module_name = 'm01'",
    f"UPDATE {TABLE} SET {CONFIG} = replace({CONFIG}, 'SELECT 1', 'SELECT 2')",
    f"UPDATE {TABLE} SET is_active = false WHERE source_id = 'm04_q'",
    f"DELETE FROM {TABLE} WHERE module_name = 'm02'",
    f"DELETE FROM {TABLE}_modules WHERE module_name = 'm02'",
)
"""After them an apply with prune reads, resets, and deletes jobs, updates one saved query and deletes another."""
FIRST, LATER = (), CHANGES
OWN_NOTEBOOK = (
    f"INSERT INTO {TABLE} VALUES ('own', 'm01', 'x', 2, '{{}}', '{{}}', "
    f"""'{{"task_type": "notebook", "notebook_path": "{OWN_FILE}"}}', true)"""
)
"""A notebook that an apply has to put into the workspace."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint, and the SQL after which an apply uses it; none means: the first apply does."""

    method: str
    path: str
    after: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


ENDPOINTS = (
    Endpoint("GET", "/preview/scim/v2/Me$", FIRST),
    Endpoint("GET", "/jobs/list$", FIRST),
    Endpoint("POST", "/jobs/create$", FIRST),
    Endpoint("POST", "/sql/queries$", FIRST),
    Endpoint("POST", "/workspace/mkdirs$", FIRST),
    Endpoint("POST", "/workspace/import$", FIRST),
    Endpoint("GET", "/jobs/get$", LATER),
    Endpoint("POST", "/jobs/reset$", LATER),
    Endpoint("POST", "/jobs/delete$", LATER),
    Endpoint("GET", "/sql/queries$", LATER),
    Endpoint("PATCH", "/sql/queries/[^/]+$", LATER),
    Endpoint("DELETE", "/sql/queries/[^/]+$", LATER),
)

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "dropped before its effect": {"action": "drop", "when": "before"},
    "dropped after its effect": {"action": "drop", "when": "after"},
    "429 with Retry-After": {
        "status": 429, "error_code": "REQUEST_LIMIT_EXCEEDED", "headers": {"Retry-After": "0"}
    },
    "429": {"status": 429, "error_code": "REQUEST_LIMIT_EXCEEDED"},
    "500": {"status": 500, "error_code": "INTERNAL_ERROR"},
    "503": {"status": 503, "error_code": "TEMPORARILY_UNAVAILABLE"},
    "garbage": {"action": "garbage", "when": "after"},
    "no answer in time": {"action": "delay", "seconds": SLOW_SECONDS, "when": "after"},
    "403": {"status": 403, "error_code": "PERMISSION_DENIED"},
}  # fmt: skip


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue[Ground]]:
    """Rows of which nothing was applied, on servers of this file's own: a fault strikes whoever calls."""
    made: Queue[Ground] = Queue()
    with ExitStack() as stack:
        for _ in range(SERVERS):
            folder = tmp_path_factory.mktemp("endpoints")
            site = stack.enter_context(running_server(folder / "site", "--faults", "--token-per-workspace"))
            ground = Ground.new(folder, site)
            ground.sql(*rows_of((*NUMBERS, 4)), OWN_NOTEBOOK)
            made.put(ground)
        yield made


def settings_of(ground: Ground) -> Settings:
    given = {"list_lag_seconds": 0.0, "max_disruptive_percent": 100.0, "files_root": ground.files_root}
    return Settings(TABLE, ground.home, **given)


def apply(ground: Ground) -> None:
    settings = settings_of(ground)
    client = client_of(ground.site.server.url, ground.token, http_timeout_seconds=CALL_SECONDS)
    orchestrator = JobOrchestrator(TABLE, client, store=DeltaStore(ground.home), settings=settings)
    orchestrator.apply(orchestrator.plan(prune=True))


def planned(ground: Ground) -> list[str]:
    settings = settings_of(ground)
    orchestrator = JobOrchestrator(TABLE, ground.client, store=DeltaStore(ground.home), settings=settings)
    plan = orchestrator.plan(prune=True)
    return [f"{each.kind} {each.module}: {each.reason}" for each in plan.actions if each.effective or each.failed]


def outcome(grounds: Queue[Ground], endpoint: Endpoint, fault: Mapping[str, Any]) -> list[str]:
    """What is wrong after an apply with this fault and one without."""
    bare = grounds.get()
    site = bare.site
    try:
        ground = bare.copy()
        if endpoint.after:
            apply(ground)
            ground.sql(*endpoint.after)
        site.fault(method=endpoint.method, path=endpoint.path, nth=1, **fault)
        failed = False
        try:
            apply(ground)
        except (ApplyError, WorkspaceError):
            failed = True
        struck = site.call("GET", "/local/faults").data["rules"][0]["hits"]
        site.no_faults()
        if failed and fault.get("action") == "delay":
            time.sleep(SLOW_SECONDS)
        apply(ground)
        numbers = [0, 1, 4] if endpoint.after else [*NUMBERS, 4]
        problems = [] if struck else ["the fault never struck"]
        return problems + planned(ground) + ground.faults(set(module_names(numbers)))
    finally:
        site.no_faults()
        grounds.put(bare)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_endpoint_duplicates_and_loses_nothing(grounds: Queue[Ground], fault: str) -> None:
    with ThreadPoolExecutor(SERVERS) as pool:
        outcomes = list(pool.map(lambda endpoint: outcome(grounds, endpoint, FAULTS[fault]), ENDPOINTS))
    wrong = {str(endpoint): problems for endpoint, problems in zip(ENDPOINTS, outcomes, strict=True) if problems}
    assert wrong == {}

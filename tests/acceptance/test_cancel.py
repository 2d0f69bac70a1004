"""Ctrl-C during an apply: what is under way is finished and recorded, and the next apply goes on from there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from lakeflow_job_meta.engine.identity import Identity
from tests.acceptance.shell import TABLE, Shell, add, sql
from tests.acceptance.steps import wait_for
from tests.local_server import Site

MODULES = [f"m{number:02}" for number in range(12)]
AT_ONCE = 3


def started_creates(site: Site) -> int:
    return site.requests().count(("POST", "/api/2.2/jobs/create"))


def modules_with_a_job(site: Site, token: str) -> Counter[str]:
    jobs = site.client(token).api_client.do("GET", "/api/2.2/jobs/list", query={"limit": 100}).get("jobs", [])
    tags = (Identity.read(job["settings"]["tags"]) for job in jobs)
    return Counter(identity.module_hash for identity in tags if identity)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_apply_that_is_told_to_stop_finishes_what_is_under_way_and_the_next_goes_on(
    tmp_path: Path, site: Site, number: signal.Signals
) -> None:
    token, shell = uuid4().hex, Shell(tmp_path)
    shell("init")
    add(shell, *MODULES)
    shell.environment |= {
        "LAKEFLOW_WORKSPACE": site.server.url,
        "DATABRICKS_TOKEN": token,
        "LAKEFLOW_CONCURRENCY": str(AT_ONCE),
    }
    site.forget_requests()
    site.fault(method="POST", path="/jobs/create$", action="delay", seconds=2, when="after")
    with subprocess.Popen(
        [sys.executable, "-m", "lakeflow_job_meta", "apply", "--yes"], cwd=shell.folder, env=shell.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(lambda: started_creates(site) > 0)
        process.send_signal(number)
        said, talk = process.communicate(timeout=60)
    site.no_faults()
    made = modules_with_a_job(site, token)
    left = len(MODULES) - len(made)
    assert process.returncode == 130, (said, talk)
    assert "stopping after the calls under way" in talk
    assert f"stopped before {left} modules: apply again to go on" in talk
    assert f"Applied {len(made)} of {len(MODULES)} changes." in said
    assert 0 < left < len(MODULES)
    states = sql(shell, f"SELECT module_name, job_id, pending FROM {TABLE}_jobs WHERE module_name NOT LIKE '$%'")
    assert sum(row["job_id"] is not None and row["pending"] is None for row in states) == len(made)
    assert shell("lease", "show").stdout == "nobody holds the lease\n"
    assert f"Applied {left} of {left} changes." in shell("apply", "--yes").stdout
    after = modules_with_a_job(site, token)
    assert (len(after), set(after.values())) == (len(MODULES), {1})
    assert f"Plan: {len(MODULES)} unchanged." in shell("plan").stdout

"""`ljm doctor`: what it finds where all is well, and what it says where something isn't, each time for real."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.control.heartbeat import Heartbeat
from lakeflow_job_meta.control.tenure import Tenure, this_process
from lakeflow_job_meta.doctor import Finding, Status, Wishes, examine
from lakeflow_job_meta.model.table import Changes
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.base import SCHEMA_VERSION
from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.steps import apply
from tests.conftest import TABLE, Project
from tests.local_server import running_server

UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
"""Takes from root that it may write anywhere."""


@pytest.fixture(autouse=True)
def credentials(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a laptop has in its environment: the token of the project's workspace."""
    for name in list(os.environ):
        if name.startswith(("LAKEFLOW_", "DATABRICKS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_TOKEN", str(project.client.config.token))


def settings(project: Project, **given: Any) -> Settings:
    return replace(project.settings, **{"workspace": project.site.server.url, **given})


def look(project: Project, wishes: Wishes | None = None, **given: Any) -> dict[str, Finding]:
    found = examine(lambda: settings(project, **given), wishes or Wishes(timeout=10))
    return {each.check: each for each in found}


def statuses(found: dict[str, Finding]) -> dict[str, str]:
    return {name: str(each.status) for name, each in found.items() if each.status is not Status.OK}


def test_where_all_is_well_it_says_so_and_changes_nothing(project: Project) -> None:
    project.add("a")
    apply(project)
    before, unchanged = project.versions(), project.orchestrator.unchanged()
    project.writes()
    found = look(project)
    assert statuses(found) == {"jobs": "not tried"}
    assert "--write" in found["jobs"].hint
    assert f"control table: {TABLE}, store: embedded" in found["settings"].found
    assert project.orchestrator.workspace.id in found["login"].found
    assert "me@local.test (pat)" in found["login"].found
    assert f"{TABLE} at version 1: 1 row, 1 module" in found["table"].found
    assert "1 job recorded" in found["identity"].found
    assert project.writes() == []
    assert project.versions() == before
    assert (project.orchestrator.unchanged(), unchanged) == (True, True)


def test_when_it_may_write_it_makes_a_job_and_takes_all_back(project: Project) -> None:
    project.add("a")
    apply(project)
    jobs, rows = project.raw_jobs(), project.sql(f"SELECT * FROM {TABLE}_jobs WHERE module_name = 'm'")
    before = project.versions()
    project.writes()
    found = look(project, Wishes(timeout=10, write=True))
    assert statuses(found) == {}
    assert project.writes() == [("POST", "/api/2.2/jobs/create"), ("POST", "/api/2.2/jobs/delete")]
    assert "was made, and deleted" in found["jobs"].found
    assert project.raw_jobs() == jobs
    assert project.sql(f"SELECT * FROM {TABLE}_jobs WHERE module_name = 'm'") == rows
    state = f"{TABLE}_jobs"
    assert project.versions() == {**before, state: before[state] + 2}
    assert project.orchestrator.monitors() == []
    assert project.orchestrator.unchanged()


def test_a_wrong_token_is_told_and_the_store_is_looked_at_all_the_same(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-wrong-and-secret")
    with running_server(tmp_path / "strict") as site:
        found = look(project, workspace=site.server.url)
    assert "403" in found["login"].found
    assert "Invalid access token" in found["login"].found
    assert "renew the token" in found["login"].hint
    not_tried = dict.fromkeys(("jobs", "saved queries", "identity"), "not tried")
    assert statuses(found) == {"login": "failed", **not_tried}
    assert "dapi-wrong-and-secret" not in json.dumps([each.to_dict() for each in found.values()])


def test_a_host_that_nobody_listens_on_is_told_soon(project: Project) -> None:
    started = time.monotonic()
    found = look(project, Wishes(timeout=30), workspace="http://127.0.0.1:9")
    assert found["workspace"].found == "http://127.0.0.1:9 can't be reached: Connection refused"
    assert statuses(found)["login"] == "not tried"
    assert found["table"].status is Status.OK
    assert time.monotonic() - started < 10


@pytest.fixture
def silent_host() -> Iterator[str]:
    """A host that takes every connection and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_host_that_never_answers_holds_nothing_up(project: Project, silent_host: str) -> None:
    started = time.monotonic()
    found = look(project, Wishes(timeout=1), workspace=silent_host)
    assert found["workspace"].found == f"{silent_host} gave no answer within 1 s"
    assert found["table"].status is Status.OK
    assert time.monotonic() - started < 10


def test_an_endpoint_that_hangs_fails_alone(project: Project) -> None:
    project.site.fault(path=r"/jobs/list", action="delay", seconds=3)
    found = look(project, Wishes(timeout=1))
    assert statuses(found) == {"jobs": "failed"}
    assert "gave no answer within 1 s" in found["jobs"].found


def test_a_profile_that_does_not_exist_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    found = look(project, workspace="nobody-has-this-profile")
    assert found["workspace"].status is Status.FAILED
    assert "nobody-has-this-profile" in found["workspace"].found
    assert "log in" in found["workspace"].hint


def test_without_a_control_table_it_says_how_to_make_one(project: Project) -> None:
    found = look(project, control_table="main.etl.other")
    assert "there is no control table main.etl.other" in found["table"].found
    assert "ljm init" in found["table"].hint
    assert found["lease"].found == "first 'table' has to be mended"
    assert found["login"].status is Status.OK


def test_a_table_without_its_change_feed_is_told_with_the_statement_that_turns_it_on(project: Project) -> None:
    project.sql(f"ALTER TABLE {TABLE} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'false')")
    found = look(project)["change feed"]
    assert (found.status, found.found.split(":")[0]) == (Status.WARNING, f"off for {TABLE}")
    project.sql(found.hint)
    assert look(project)["change feed"].status is Status.OK


def test_a_table_of_an_older_schema_version_is_told_with_what_to_do(project: Project) -> None:
    project.sql(f"ALTER TABLE {TABLE}_jobs SET TBLPROPERTIES ('{SCHEMA_VERSION}' = '1')")
    found = look(project)["schema"]
    assert (found.status, found.found) == (
        Status.FAILED,
        f"{TABLE}_jobs has schema version 1, this product writes 2",
    )
    assert "ljm migrate" in found.hint


def test_a_table_of_a_newer_schema_version_is_told(project: Project) -> None:
    project.sql(f"ALTER TABLE {TABLE}_log SET TBLPROPERTIES ('{SCHEMA_VERSION}' = '7')")
    found = look(project)["schema"]
    assert found.status is Status.FAILED
    assert "upgrade lakeflow-job-meta" in found.hint


def test_a_table_that_does_not_tell_its_schema_version_is_told(project: Project) -> None:
    project.store.sql(f"DROP TABLE {TABLE}_files")
    columns = ", ".join(f"{each.name} {each.type}" for each in project.manager.tables.files.columns)
    project.store.sql(f"CREATE TABLE {TABLE}_files ({columns})")
    found = look(project)["schema"]
    assert (found.status, "doesn't tell its schema version" in found.found) == (Status.WARNING, True)


def test_a_sibling_that_is_not_there_yet_is_no_failure(project: Project) -> None:
    for kind in ("modules", "jobs", "files", "log"):
        project.store.sql(f"DROP TABLE {TABLE}_{kind}")
    found = look(project, Wishes(timeout=10, write=True))
    assert f"not there yet: {TABLE}_modules" in found["schema"].found
    assert statuses(found) == {"write": "not tried"}


@pytest.mark.parametrize(("seconds", "said"), [(95, "95 s ahead of"), (-95, "95 s behind")])
def test_a_clock_that_is_wrong_is_told(project: Project, seconds: int, said: str) -> None:
    found = look(project, Wishes(timeout=10, now=lambda: datetime.now(UTC) + timedelta(seconds=seconds)))
    assert found["clock"].status is Status.WARNING
    told = [f"our clock is {number} s" for number in (abs(seconds) - 1, abs(seconds), abs(seconds) + 1)]
    assert any(each in found["clock"].found for each in told)
    assert said.split(" s ")[1] in found["clock"].found
    assert "NTP" in found["clock"].hint


def held(project: Project, holder: str) -> Tenure:
    tenure = Tenure(DeltaStore(project.home), project.manager.tables, project.orchestrator.workspace.id, 60, holder)
    tenure.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    tenure.abandon()
    return tenure


def test_who_holds_the_lease_is_told(project: Project) -> None:
    held(project, "elsewhere:1:1")
    found = look(project)["lease"]
    assert found.status is Status.WARNING
    assert "elsewhere:1:1 since 20" in found.found
    assert "ljm lease release" in found.hint


def test_a_lease_that_a_dead_process_left_holds_nobody_up(project: Project) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    held(project, this_process().replace(f":{os.getpid()}:", f":{process.pid}:"))
    found = look(project)["lease"]
    assert (found.status, "the next run takes over at once" in found.found) == (Status.OK, True)


def test_a_monitor_that_has_fallen_silent_is_told(project: Project) -> None:
    workspace = project.orchestrator.workspace.id
    heart = Heartbeat(DeltaStore(project.home), project.manager.tables, workspace, 60, 60, "elsewhere:1:1")
    heart.beat(datetime.now(UTC) - timedelta(seconds=170))
    fresh = look(project)["monitors"]
    heart.beat(datetime.now(UTC) - timedelta(seconds=190))
    late = look(project)["monitors"]
    assert (fresh.status, late.status) == (Status.OK, Status.WARNING)
    assert "elsewhere:1:1 gave its last sign of life 19" in late.found


def test_a_copied_table_is_told_as_every_run_would(project: Project) -> None:
    project.add("a")
    project.sql("CREATE TABLE main.etl.copy AS SELECT * FROM main.etl.control")
    properties = project.manager.tables.control.name
    info = project.store.info(properties)
    assert info is not None
    listed = ", ".join(f"'{name}' = '{value}'" for name, value in info.properties.items())
    project.sql(f"ALTER TABLE main.etl.copy SET TBLPROPERTIES ({listed})")
    found = look(project, control_table="main.etl.copy")["identity"]
    assert (found.status, f"main.etl.copy is a copy of {TABLE}" in found.found) == (Status.FAILED, True)
    assert "ljm identity" in found.hint


def test_another_workspace_than_the_jobs_are_in_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.add("a")
    apply(project)
    monkeypatch.setenv("DATABRICKS_TOKEN", "another-workspace")
    found = look(project)["identity"]
    assert found.status is Status.FAILED
    assert "jobs are recorded in workspace" in found.found


def test_who_may_not_make_jobs_is_told(project: Project) -> None:
    project.site.fault(path=r"/jobs/create", status=403, error_code="PERMISSION_DENIED", message="No job creation.")
    found = look(project, Wishes(timeout=10, write=True))["jobs"]
    assert (found.status, found.found) == (Status.FAILED, "jobs can't be made: 403 No job creation.")


@pytest.mark.parametrize("fault", [{"action": "drop"}, {"action": "status", "status": 500}])
def test_a_job_that_was_made_without_an_answer_is_found_and_deleted(project: Project, fault: dict[str, Any]) -> None:
    project.site.fault(path=r"/jobs/create", when="after", **fault)
    found = look(project, Wishes(timeout=10, write=True))["jobs"]
    assert (found.status, "it was there, and is deleted" in found.found) == (Status.FAILED, True)
    assert project.raw_jobs() == []


def test_a_job_that_cannot_be_deleted_is_named(project: Project) -> None:
    project.site.fault(path=r"/jobs/delete", status=403, error_code="PERMISSION_DENIED", message="No.")
    found = look(project, Wishes(timeout=10, write=True))["jobs"]
    name = project.only_job()["settings"]["name"]
    assert found.status is Status.WARNING
    assert name in found.hint
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "PAUSED"


def test_the_files_of_a_volume_are_counted(project: Project) -> None:
    def put(path: str) -> None:
        folder = path.rpartition("/")[0]
        for method, what in (("PUT", f"/api/2.0/fs/directories{folder}"), ("PUT", f"/api/2.0/fs/files{path}")):
            answer = project.site.call(method, what, b"modules: []\n", token=str(project.client.config.token))
            assert answer.status < 300, answer.body

    put("/Volumes/main/etl/metadata/a.yml")
    put("/Volumes/main/etl/metadata/more/b.yml")
    found = look(project, Wishes(timeout=10, volume="/Volumes/main/etl/metadata"))["volume"]
    assert (found.status, found.found) == (Status.OK, "/Volumes/main/etl/metadata: 2 YAML files")
    missing = look(project, Wishes(timeout=10, volume="/Volumes/main/etl/metadata/none"))["volume"]
    assert (missing.status, missing.found) == (Status.FAILED, "/Volumes/main/etl/metadata/none doesn't exist")


def test_a_folder_that_may_only_be_read_is_told(project: Project) -> None:
    folders = [project.home, *(path for path in project.home.rglob("*") if path.is_dir())]
    try:
        for each in folders:
            each.chmod(0o555)
        done = subprocess.run(
            [
                *UNPRIVILEGED, sys.executable, "-m", "lakeflow_job_meta", "doctor", "--home", str(project.home),
                "--output", "json",
            ],
            env={**os.environ, "LAKEFLOW_CONTROL_TABLE": TABLE, "LAKEFLOW_WORKSPACE": project.site.server.url},
            cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        for each in folders:
            each.chmod(0o755)
    assert done.returncode == 1, done.stderr
    (found,) = [each for each in json.loads(done.stdout)["checks"] if each["check"] == "write"]
    assert found["status"] == "failed"
    assert f"no file can be made in {project.home}/tables/main/etl/control_jobs: Permission denied" in found["found"]


def test_settings_that_cannot_be_used_are_a_finding_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lakeflow.yml").write_text("control_table: main.etl.control\nstor: spark\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "-o", "json"]) == 1
    first, *others = json.loads(capsys.readouterr().out)["checks"]
    assert first["status"] == "failed"
    assert "unknown setting 'stor'" in first["found"]
    assert {each["status"] for each in others} == {"not tried"}


def test_without_a_control_table_in_the_settings_the_rest_is_looked_at(project: Project) -> None:
    found = look(project, control_table="")
    assert statuses(found)["table"] == "failed"
    assert "no control table is named" in found["table"].found
    assert found["login"].status is Status.OK
    assert found["store"].status is Status.OK


def test_the_command_prints_a_line_for_each_check_and_exits_with_1_if_any_failed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (
        ("LAKEFLOW_CONTROL_TABLE", TABLE), ("LAKEFLOW_HOME", str(project.home)),
        ("LAKEFLOW_WORKSPACE", project.site.server.url),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["ok", "settings"]
    assert lines[-1] == "13 ok, 1 not tried"
    assert run(["doctor", "--workspace", "http://127.0.0.1:9"]) == 1
    assert "hint: check the address, the network, the proxy" in capsys.readouterr().out


def test_a_check_that_never_comes_back_is_left_behind() -> None:
    def load() -> Settings:
        threading.Event().wait()
        raise AssertionError

    first, *others = examine(load, Wishes(timeout=1))
    assert (first.status, first.found) == (Status.FAILED, "no answer within 2 s")
    assert {each.status for each in others} == {Status.NOT_TRIED}
    assert all(each.daemon for each in threading.enumerate() if each.name.startswith("doctor"))

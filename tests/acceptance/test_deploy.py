"""The monitor as a job: its wheel installs and runs, its job is made and updated in place by plan and apply, no plan
takes it away but the one that is asked to, and the program that it runs reconciles and ends well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service.workspace import ImportFormat

from lakeflow_job_meta import JobOrchestrator, MetadataManager
from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.control.deployed import deployed_wheel
from lakeflow_job_meta.deploy.deployment import Deployer
from lakeflow_job_meta.deploy.entry import main
from lakeflow_job_meta.deploy.package import PACKAGE, Package, this_package
from lakeflow_job_meta.deploy.rows import Deployment
from lakeflow_job_meta.deploy.wheel import Wheel
from lakeflow_job_meta.errors import ApplyError, InputError, UsageError
from lakeflow_job_meta.model.control import MONITOR_MODULE
from lakeflow_job_meta.settings import Settings
from tests.conftest import TABLE, Project
from tests.local_server import Site, running_server

PLAIN = Deployment()
SERVICE_PRINCIPAL = "6f1c0d5e-0000-4000-8000-7d2b8a90c3ff"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel() -> Wheel:
    return Wheel(this_package())


@dataclass(frozen=True)
class Machine:
    """A virtual environment of its own, in which nothing of this product is but the wheel."""

    folder: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=self.folder, env=self.environment(), text=True, capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEFLOW", "DATABRICKS"))}
        return {name: value for name, value in {**kept, **more}.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, wheel: Wheel) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (folder / wheel.name).write_bytes(wheel.data)
    python = str(venv / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--no-cache-dir"]
    subprocess.run([*install, "-q", folder / wheel.name], check=True)
    # What the product needs is there by a path alone: that leaves out what is installed here to be edited.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "needs.pth").write_text(sysconfig.get_path("purelib"))
    return Machine(venv)


def test_the_wheel_installs_and_its_commands_run(machine: Machine, wheel: Wheel) -> None:
    shown = machine.run("ljm", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Keep Databricks Lakeflow Jobs equal to the rows" in shown.stdout
    assert machine.run("lakeflow-monitor", "--help").returncode == 0
    code = f"import {PACKAGE}, importlib.metadata as m; print({PACKAGE}.__file__, m.version('{PACKAGE}'))"
    where, version = machine.run("python", "-c", code).stdout.split()
    assert Path(where).is_relative_to(machine.folder)
    assert version == wheel.version


def test_an_installation_yields_the_same_wheel_as_its_source(machine: Machine, wheel: Wheel) -> None:
    code = (
        f"from {PACKAGE}.deploy.package import this_package; from {PACKAGE}.deploy.wheel import Wheel;"
        "w = Wheel(this_package()); print(w.name, w.sha256)"
    )
    assert machine.run("python", "-c", code).stdout.split() == [wheel.name, wheel.sha256]
    assert Wheel(replace(wheel.package)).data == wheel.data


def test_each_content_is_a_version_of_its_own(wheel: Wheel) -> None:
    files = {**wheel.package.files, f"{PACKAGE}/__init__.py": b"changed"}
    changed = Wheel(replace(wheel.package, files=files))
    needs = Wheel(replace(wheel.package, requires=(*wheel.package.requires, "numpy")))
    assert len({wheel.version, changed.version, needs.version}) == 3
    assert {each.partition("+")[0] for each in (wheel.version, changed.version)} == {wheel.package.version}


def test_the_wheel_holds_the_package_and_nothing_that_lies_beside_it(wheel: Wheel) -> None:
    with zipfile.ZipFile(BytesIO(wheel.data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert f"{PACKAGE}/control/schemas/control.json" in names
    assert f"{PACKAGE}/py.typed" in names
    assert not [each for each in names if "__pycache__" in each or each.startswith("tests")]
    tracked = subprocess.run(["git", "ls-files", "--", PACKAGE], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode == 0:
        there = {each for each in tracked.stdout.split() if (ROOT / each).exists()}
        assert there <= set(names)


def small(package: Package, content: bytes = b"") -> Wheel:
    """A wheel that is quickly uploaded."""
    return Wheel(replace(package, files={f"{PACKAGE}/__init__.py": content}))


def deployer(project: Project, folder: str = "", **settings: Any) -> Deployer:
    around = JobOrchestrator(TABLE, project.client, store=project.store, settings=replace(project.settings, **settings))
    return Deployer(around, folder)


def deploy(project: Project, wheel: Wheel, deployment: Deployment = PLAIN, folder: str = "") -> dict[str, str]:
    one = deployer(project, folder)
    outcomes = one.carry_out(one.propose(deployment, wheel))
    return {outcome.action.module: str(outcome.action.kind) for outcome in outcomes if outcome.done}


def settings_of(job: dict[str, Any]) -> dict[str, Any]:
    return job["settings"]


def test_a_deployment_makes_one_continuous_job_with_the_settings_as_its_parameters(
    project: Project, wheel: Wheel
) -> None:
    asked = Deployment("/Volumes/main/etl/meta", SERVICE_PRINCIPAL, ("ana@example.com", "hook-1"), 30)
    assert deploy(project, small(wheel.package), asked) == {MONITOR_MODULE: "create"}
    job = settings_of(project.only_job())
    (task,) = job["tasks"]
    path = job["environments"][0]["spec"]["dependencies"][0]
    parameters = {each["name"]: each["default"] for each in job["parameters"]}
    assert job["continuous"] == {"pause_status": "UNPAUSED", "task_retry_mode": "ON_FAILURE"}
    assert job["run_as"] == {"service_principal_name": SERVICE_PRINCIPAL}
    assert job["email_notifications"] == {"on_failure": ["ana@example.com"]}
    assert job["webhook_notifications"] == {"on_failure": [{"id": "hook-1"}]}
    assert job["max_concurrent_runs"] == 1
    assert task["environment_key"] == job["environments"][0]["environment_key"]
    assert task["python_wheel_task"] == {
        "package_name": PACKAGE,
        "entry_point": "lakeflow-monitor",
        "named_parameters": {name: f"{{{{job.parameters.{name}}}}}" for name in parameters},
    }
    assert parameters == {
        "control_table": TABLE, "volume": "/Volumes/main/etl/meta", "interval": "30", "store": "embedded",
        "workspace": "local", "home": str(project.home), "list_lag_seconds": "0.5", "wheel_path": path,
    }  # fmt: skip
    assert deployed_wheel(project.store, project.manager.tables) == path
    assert project.client.workspace.download(path).read() == small(wheel.package).data


def test_whom_the_job_runs_as_may_read_the_wheel(project: Project, wheel: Wheel) -> None:
    deploy(project, small(wheel.package), Deployment(run_as=SERVICE_PRINCIPAL))
    path = deployed_wheel(project.store, project.manager.tables)
    folder = project.client.workspace.get_status(str(Path(path).parent))
    granted = project.client.api_client.do("GET", f"/api/2.0/permissions/directories/{folder.object_id}")
    (entry,) = granted["access_control_list"]
    assert (entry["service_principal_name"], entry["all_permissions"][0]["permission_level"]) == (
        SERVICE_PRINCIPAL, "CAN_READ",
    )  # fmt: skip


def test_a_second_deployment_does_nothing(project: Project, wheel: Wheel) -> None:
    deploy(project, small(wheel.package))
    before = project.versions()
    project.writes()
    proposal = deployer(project).propose(PLAIN, small(wheel.package))
    assert proposal.empty
    assert deploy(project, small(wheel.package)) == {}
    assert project.writes() == []
    assert project.versions() == before


def test_a_changed_wheel_is_an_update_in_place(project: Project, wheel: Wheel) -> None:
    deploy(project, small(wheel.package))
    job_id = project.only_job()["job_id"]
    first = deployed_wheel(project.store, project.manager.tables)
    project.writes()
    assert deploy(project, small(wheel.package, b"changed")) == {MONITOR_MODULE: "update"}
    assert [path for _, path in project.writes()] == ["/api/2.0/workspace/import", "/api/2.2/jobs/reset"]
    job = project.only_job()
    assert job["job_id"] == job_id
    second = settings_of(job)["environments"][0]["spec"]["dependencies"]
    assert second == [deployed_wheel(project.store, project.manager.tables)] != [first]
    # The run under way may be started again with the first before it ends.
    assert project.client.workspace.get_status(first).size


def test_other_settings_change_the_job_and_what_others_set_in_its_row_stays(project: Project, wheel: Wheel) -> None:
    deploy(project, small(wheel.package), Deployment(notify=("ana@example.com",)))
    (row,) = project.sql(f"SELECT job_config FROM {TABLE}_modules")
    project.job_config(MONITOR_MODULE, **json.loads(row["job_config"]), tags={"team": "data"})
    assert deploy(project, small(wheel.package), Deployment(interval=300)) == {MONITOR_MODULE: "update"}
    job = settings_of(project.only_job())
    assert job["tags"]["team"] == "data"
    assert {"name": "interval", "default": "300"} in job["parameters"]
    assert job["email_notifications"] == {}


def test_the_wheel_can_be_kept_in_a_volume_and_the_job_run_on_a_cluster(project: Project, wheel: Wheel) -> None:
    folder = f"/Volumes/main/etl/{project.home.parent.name.replace('-', '_')}"
    one = small(wheel.package)
    deploy(project, one, Deployment(cluster_id="0101-120000-abcdefgh"), folder)
    (task,) = settings_of(project.only_job())["tasks"]
    path = task["libraries"][0]["whl"]
    assert task["existing_cluster_id"] == "0101-120000-abcdefgh"
    assert path.startswith(f"{folder}/{TABLE}-") and path.endswith(one.name)
    assert (project.site.home / "volumes" / path.removeprefix("/Volumes/")).read_bytes() == one.data
    assert deploy(project, one, Deployment(cluster_id="0101-120000-abcdefgh"), folder) == {}
    # To serverless compute and back: one place of a task takes the other's place.
    assert deploy(project, one, PLAIN, folder) == {MONITOR_MODULE: "update"}
    (task,) = settings_of(project.only_job())["tasks"]
    assert "existing_cluster_id" not in task and "libraries" not in task


def test_a_wheel_that_was_only_half_uploaded_is_uploaded_again(project: Project, wheel: Wheel) -> None:
    one = small(wheel.package)
    deploy(project, one)
    path = deployed_wheel(project.store, project.manager.tables)
    project.client.workspace.upload(path, b"half", format=ImportFormat.AUTO, overwrite=True)
    proposal = deployer(project).propose(PLAIN, one)
    assert (proposal.uploads, proposal.writes, proposal.plan.empty) == (True, False, True)
    deploy(project, one)
    assert project.client.workspace.download(path).read() == one.data


def gone(how: str) -> str:
    """A statement that takes the monitor's rows away."""
    return {
        "deleted": f"DELETE FROM {TABLE} WHERE module_name = '{MONITOR_MODULE}'",
        "all deleted": f"DELETE FROM {TABLE} WHERE module_name = '{MONITOR_MODULE}';"
        f"DELETE FROM {TABLE}_modules WHERE module_name = '{MONITOR_MODULE}'",
        "deactivated": f"UPDATE {TABLE} SET is_active = false WHERE module_name = '{MONITOR_MODULE}'",
        "module deactivated": f"UPDATE {TABLE}_modules SET is_active = false WHERE module_name = '{MONITOR_MODULE}'",
        "to be deleted": f"UPDATE {TABLE} SET is_active = false WHERE module_name = '{MONITOR_MODULE}';"
        f'UPDATE {TABLE}_modules SET job_config = \'{{"lifecycle": {{"on_deactivate": "delete"}}}}\'',
    }[how]


@pytest.mark.parametrize("how", ["deleted", "all deleted", "deactivated", "module deactivated", "to be deleted"])
def test_no_plan_pauses_or_deletes_the_monitor_s_own_job(project: Project, wheel: Wheel, how: str) -> None:
    project.add("a", "other")
    deploy(project, small(wheel.package))
    project.orchestrator.apply(project.orchestrator.plan())
    before = own_job(project)
    project.sql(gone(how))
    project.monitor(drift_interval_seconds=0).check_and_update()
    for choice in ({}, {"prune": True}, {"destroy": True}):
        plan = project.orchestrator.plan(**choice)
        assert "only `ljm deploy --remove` takes it away" in str(plan)
        project.orchestrator.apply(plan, allow_disruptive=True)
    assert own_job(project) == before
    # Rows that come back find their job again.
    assert deploy(project, small(wheel.package)) in ({}, {MONITOR_MODULE: "update"})
    assert own_job(project)["job_id"] == before["job_id"]


def own_job(project: Project) -> dict[str, Any]:
    (job,) = (job for job in project.raw_jobs() if settings_of(job)["name"].startswith("Lakeflow monitor"))
    return job


def test_an_export_leaves_the_monitor_s_rows_out(project: Project, wheel: Wheel, tmp_path: Path) -> None:
    project.add("a", "other")
    deploy(project, small(wheel.package))
    report = project.manager.export_yaml(tmp_path / "all.yml")
    assert (report.modules, report.sources) == (1, 1)
    assert MONITOR_MODULE not in (tmp_path / "all.yml").read_text()


def test_rows_that_can_not_be_read_freeze_the_monitor_s_job(project: Project, wheel: Wheel) -> None:
    deploy(project, small(wheel.package))
    before = project.only_job()
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{{...'")
    assert list(project.monitor().check_and_update().failures) == [MONITOR_MODULE]
    assert project.only_job() == before


def test_a_table_that_holds_only_the_monitor_s_rows_counts_as_empty(project: Project, wheel: Wheel) -> None:
    project.add("a", "other")
    deploy(project, small(wheel.package))
    project.orchestrator.apply(project.orchestrator.plan())
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'other'")
    with pytest.raises(InputError, match="refusing to pause all"):
        project.orchestrator.plan()


@pytest.mark.parametrize("how", ["", "deleted", "all deleted", "deactivated"])
def test_removing_takes_job_rows_and_wheels_away_and_nothing_else(project: Project, wheel: Wheel, how: str) -> None:
    project.add("a", "other")
    deploy(project, small(wheel.package))
    deploy(project, small(wheel.package, b"changed"))
    project.orchestrator.apply(project.orchestrator.plan())
    folder = str(Path(deployed_wheel(project.store, project.manager.tables)).parent)
    if how:
        project.sql(gone(how))
    removal = deployer(project).propose_removal()
    assert len(removal.wheels) == 2
    assert [str(each.action.kind) for each in deployer(project).remove(removal)] == ["delete"]
    assert [settings_of(job)["name"] for job in project.raw_jobs()] == ["Metadata_Driven_ETL_other"]
    assert {row["module_name"] for row in project.sql(f"SELECT module_name FROM {TABLE}")} == {"other"}
    assert project.sql(f"SELECT * FROM {TABLE}_modules") == []
    with pytest.raises(NotFound):
        project.client.workspace.get_status(folder)
    assert project.orchestrator.plan().empty
    assert deployer(project).propose_removal().empty


def test_a_removal_that_broke_off_is_finished_by_the_next(project: Project, wheel: Wheel) -> None:
    deploy(project, small(wheel.package))
    project.site.fault(method="POST", path=r"jobs/delete", status=403, error_code="PERMISSION_DENIED")
    one = deployer(project)
    with pytest.raises(ApplyError):
        one.remove(one.propose_removal())
    project.site.no_faults()
    assert project.orchestrator.plan(prune=True).empty
    assert [str(each.action.kind) for each in one.remove(one.propose_removal())] == ["delete"]
    assert (project.raw_jobs(), one.propose_removal().empty) == ([], True)


def test_removing_leaves_what_people_put_beside_the_wheels(project: Project, wheel: Wheel) -> None:
    deploy(project, small(wheel.package))
    folder = str(Path(deployed_wheel(project.store, project.manager.tables)).parent)
    for name in ("notes.txt", f"{PACKAGE}-0.1.0-py3-none-any.whl"):
        project.client.workspace.upload(f"{folder}/{name}", b"mine", format=ImportFormat.AUTO)
    one = deployer(project)
    one.remove(one.propose_removal())
    assert len(list(project.client.workspace.list(folder))) == 2


def test_a_module_of_the_monitor_s_name_that_is_not_ours_is_left_alone(project: Project, wheel: Wheel) -> None:
    project.add("monitor", MONITOR_MODULE)
    with pytest.raises(InputError, match="`ljm deploy` didn't write"):
        deployer(project).propose(PLAIN, small(wheel.package))


def test_a_table_of_this_machine_is_not_deployed_to_a_workspace_that_cannot_read_it(
    project: Project, wheel: Wheel
) -> None:
    with pytest.raises(UsageError, match="lies on this machine"):
        deployer(project, workspace="https://example.com").propose(PLAIN, small(wheel.package))


@pytest.mark.parametrize("folder", ["/tmp/wheels", "/Volumes/main/etl", "/Workspace/../etc", "dbfs:/wheels"])
def test_a_place_that_wheels_cannot_be_kept_in_is_refused(project: Project, wheel: Wheel, folder: str) -> None:
    with pytest.raises(UsageError, match="can't be kept"):
        deployer(project, folder).propose(PLAIN, small(wheel.package))


def test_settings_that_change_jobs_reach_the_job(project: Project, wheel: Wheel) -> None:
    given = {
        "cluster_id": "c-1", "drift": {"tasks.*.max_retries": "ignore"}, "max_disruptive": 3, "lake_schema": "lake",
        "pipelines_task": {"max_retries": 2},
    }  # fmt: skip
    proposal = deployer(project, **given).propose(PLAIN, small(wheel.package))
    parameters = {each["name"]: each["default"] for each in json.loads(proposal.module["job_config"])["parameters"]}
    assert {name: parameters[name] for name in given} == {
        "cluster_id": "c-1", "drift": '{"tasks.*.max_retries": "ignore"}', "max_disruptive": "3",
        "lake_schema": "lake", "pipelines_task": '{"max_retries": 2}',
    }  # fmt: skip
    assert "default_warehouse_id" not in parameters


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--nonsense=1"], "unrecognized arguments"),
        (["--control_table=main.etl.control", "--interval=soon"], "expected seconds"),
        (["--control_table=main.etl.control", "--drift={"], "isn't JSON"),
        (["--control-table="], "no control table is named"),
    ],
)
def test_a_run_that_cannot_begin_fails(arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEFLOW_CONTROL_TABLE", raising=False)
    with pytest.raises(UsageError, match=told):
        main(arguments)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A server with one workspace only, as `ljm local serve` is."""
    with running_server(tmp_path / "site") as running:
        yield running


def arguments_of(job: dict[str, Any]) -> list[str]:
    """The arguments that the service starts the task with."""
    parameters = {each["name"]: each["default"] for each in job["parameters"]}
    named = job["tasks"][0]["python_wheel_task"]["named_parameters"]
    values = {
        name: parameters[value.removeprefix("{{job.parameters.").removesuffix("}}")] for name, value in named.items()
    }
    return [f"--{name}={value}" for name, value in values.items()]


def test_the_deployed_program_reconciles_and_ends_well_when_told_and_when_deployed_anew(
    own: Site,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home, client = tmp_path / "home", own.client()
    monkeypatch.setenv("DATABRICKS_TOKEN", own.server.token)
    where = ["-t", TABLE, "--home", str(home), "--workspace", own.server.url]
    manager = MetadataManager(TABLE, settings=Settings(TABLE, home))
    manager.ensure_exists()
    assert run(["deploy", *where, "--interval", "1", "--yes", "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (outcome,) = told["outcomes"]
    job = job_of(client, outcome["job_id"])
    with Running(machine, arguments_of(job), own.server.token) as running:
        insert = f"INSERT INTO {TABLE} VALUES ('a', 'sales', 'delta', 1, '{{}}', '{{}}', "
        manager.sql(insert + '\'{"task_type": "notebook", "notebook_path": "/etl/a"}\', true)')
        cycle = running.next_cycle()
        assert [(each["module"], each["action"]) for each in cycle["outcomes"]] == [("sales", "create")]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
    with Running(machine, arguments_of(job), own.server.token) as running:
        running.wait_for("watching")
        assert run(["deploy", *where, "--interval", "2", "--yes"]) == 0
        running.wait_for("deployed anew")
        assert running.process.wait(20) == 0
    assert {"name": "interval", "default": "2"} in job_of(client, outcome["job_id"])["parameters"]


def job_of(client: WorkspaceClient, job_id: int) -> dict[str, Any]:
    return client.api_client.do("GET", "/api/2.2/jobs/get", query={"job_id": job_id})["settings"]


class Running:
    """The program in a process of its own, installed from the wheel."""

    def __init__(self, machine: Machine, arguments: list[str], token: str) -> None:
        self.process = subprocess.Popen(
            [machine.folder / "bin" / "lakeflow-monitor", *arguments],
            cwd=machine.folder, env=machine.environment(DATABRICKS_TOKEN=token), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def next_cycle(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def wait_for(self, text: str) -> None:
        assert self.process.stderr is not None
        assert any(text in line for line in self.process.stderr)


def test_the_command_shows_asks_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own: Site
) -> None:
    where = ["deploy", "-t", TABLE, "--home", str(own.home)]
    MetadataManager(TABLE, settings=Settings(TABLE, own.home)).ensure_exists()
    assert run([*where, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "to be uploaded to /Workspace/Users/me@local.test/" in shown.out
    assert f"+ {MONITOR_MODULE}: create" in shown.out
    assert "because" not in shown.out
    assert "dry run: nothing was changed" in shown.err
    assert run([*where, "--remove", "--dry-run"]) == 0
    assert capsys.readouterr().out == "no monitor is deployed\n"
    assert run(where) == 2
    assert "nobody can be asked" in capsys.readouterr().err
    assert run([*where, "--remove", "--volume", "/Volumes/a/b/c"]) == 2
    assert "--volume doesn't go with --remove" in capsys.readouterr().err
    assert run([*where, "--yes"]) == 0
    assert f"{MONITOR_MODULE}: create done, job " in capsys.readouterr().out
    assert run([*where, "--yes"]) == 0
    assert capsys.readouterr().err.endswith("nothing to do\n")
    assert run([*where, "--remove", "--yes", "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["action"] for each in told["outcomes"]] == ["delete"]
    assert len(told["wheels"]) == 1

"""Files that rows name by relative paths: put into the workspace before the job, and only when they changed."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.model.local_file import FOLDER
from tests.acceptance.steps import apply, kinds, only
from tests.conftest import TABLE, Project
from tests.local_tasks import wheel

SQL = {"task_type": "sql_file", "sql_task": {"warehouse_id": "w", "sql_file_path": "./sql/daily.sql"}}
NOTEBOOK = {"task_type": "notebook", "notebook_path": "nb/load.py"}


@pytest.fixture
def root(project: Project) -> Path:
    return project.home.parent / "repo"


@pytest.fixture
def repo(project: Project, root: Path) -> Project:
    """A project whose relative paths start at a folder with a notebook and a SQL file."""
    write(root / "nb/load.py", "# Databricks notebook source\nprint(1)")
    write(root / "sql/daily.sql", "SELECT 1")
    return replace(project, settings=replace(project.settings, files_root=root))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tasks(project: Project) -> dict[str, Mapping[str, Any]]:
    return {task["task_key"]: task for task in project.only_job()["settings"]["tasks"]}


def content(project: Project, path: str) -> str:
    body = project.client.api_client.do("GET", "/api/2.0/workspace/export", query={"path": path, "format": "SOURCE"})
    return base64.b64decode(body["content"]).decode()


def imports(project: Project) -> int:
    return sum(path.endswith("/workspace/import") for _, path in project.writes())


def test_a_job_points_at_the_files_that_were_put_into_the_workspace(repo: Project) -> None:
    repo.add("a", config=NOTEBOOK)
    repo.add("b", config=SQL, order=2)
    apply(repo)
    notebook, file = tasks(repo)["a"]["notebook_task"]["notebook_path"], tasks(repo)["b"]["sql_task"]["file"]["path"]
    assert notebook.startswith(f"{FOLDER}/")
    assert notebook.endswith("/load")
    assert content(repo, notebook) == "# Databricks notebook source\nprint(1)"
    assert repo.client.workspace.get_status(notebook).language is not None
    assert file.endswith("/daily.sql")
    assert content(repo, file) == "SELECT 1"
    assert kinds(repo) == {"m": "skip"}


def test_only_a_file_that_changed_is_put_there_again(repo: Project, root: Path) -> None:
    repo.add("a", config=NOTEBOOK)
    repo.add("b", config=SQL, order=2)
    apply(repo)
    assert imports(repo) >= 2
    before = tasks(repo)
    (root / "nb/load.py").touch()
    assert kinds(repo) == {"m": "skip"}
    write(root / "nb/load.py", "# Databricks notebook source\nprint(2)")
    assert [each.path for each in only(repo, "m").changes] == ["tasks[a].notebook_task.notebook_path"]
    repo.writes()
    apply(repo)
    assert imports(repo) <= 2, "the file, and once more after its folder was made"
    after = tasks(repo)
    assert content(repo, after["a"]["notebook_task"]["notebook_path"]).endswith("print(2)")
    assert content(repo, before["a"]["notebook_task"]["notebook_path"]).endswith("print(1)"), "runs under way go on"
    assert after["b"] == before["b"]


def test_a_look_at_unchanged_rows_sees_a_changed_file_and_costs_nothing_otherwise(repo: Project, root: Path) -> None:
    repo.add("a", config=NOTEBOOK)
    apply(repo)
    assert repo.orchestrator.unchanged()
    assert kinds(repo, changed_only=True) == {}
    write(root / "nb/load.py", "# Databricks notebook source\nprint(2)")
    assert not repo.orchestrator.unchanged()
    assert kinds(repo, changed_only=True) == {"m": "update"}


def test_the_monitor_notices_a_changed_file(repo: Project, root: Path) -> None:
    repo.add("a", config=NOTEBOOK)
    monitor = repo.monitor()
    assert [str(each.action.kind) for each in monitor.check_and_update().outcomes] == ["create"]
    monitor.check_and_update()
    assert not monitor.check_and_update().looked
    write(root / "nb/load.py", "# Databricks notebook source\nprint(2)")
    assert [str(each.action.kind) for each in monitor.check_and_update().outcomes] == ["update"]
    (root / "nb/load.py").unlink()
    cycle = monitor.check_and_update()
    assert "load.py doesn't exist" in cycle.failures["m"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"task_type": "notebook", "notebook_path": "nb/laod.py"}, r"nb/laod.py doesn't exist.*did you mean 'load.py'"),
        ({"task_type": "notebook", "notebook_path": "../x.py"}, r"\.\./x.py lies outside of"),
        ({"task_type": "notebook", "notebook_path": "sql/notes.txt"}, r"sql/notes.txt is no notebook"),
        ({**SQL, "sql_task": {"warehouse_id": "w", "sql_file_path": "sql"}}, r"sql doesn't exist"),
    ],
)
def test_a_file_that_cannot_be_had_freezes_its_module_alone(
    repo: Project, root: Path, config: Mapping[str, Any], said: str
) -> None:
    write(root / "sql/notes.txt", "")
    repo.add("good", module="n", config=NOTEBOOK)
    repo.add("bad", config=config)
    plan = repo.orchestrator.plan()
    (finding,) = plan.diagnostics
    assert str(finding).startswith(f"{TABLE}/m/bad/transformation_config: error: ")
    assert re.search(said, str(finding))
    assert {action.module: action.failed for action in plan.actions} == {"m": True, "n": False}


def test_paths_of_the_workspace_of_git_and_of_packages_stay_as_they_are(repo: Project) -> None:
    repo.add("a", config={"task_type": "notebook", "notebook_path": "/Shared/a"})
    repo.add("b", config={"task_type": "task", "task": {"spark_python_task": {"python_file": "dbfs:/a.py"}}})
    repo.add("c", config={"task_type": "notebook", "notebook_path": "{{job.parameters.path}}"})
    repo.add("d", module="n", config={"task_type": "notebook", "notebook_path": "in/the/repo"})
    git = {"git_url": "https://github.com/e/r", "git_provider": "gitHub", "git_branch": "main"}
    repo.job_config("n", git_source=git, environments=[{"environment_key": "e", "spec": {"dependencies": ["pandas"]}}])
    plan = repo.orchestrator.plan()
    assert plan.diagnostics == ()
    wanted = {
        task["task_key"]: task
        for action in plan.actions
        for task in (action.desired or pytest.fail()).settings["tasks"]
    }
    assert wanted["d"]["notebook_task"]["notebook_path"] == "in/the/repo"
    assert wanted["b"]["spark_python_task"]["python_file"] == "dbfs:/a.py"
    assert wanted["c"]["notebook_task"]["notebook_path"] == "{{job.parameters.path}}"


def test_wheels_files_and_tasks_in_loops_are_put_there_too(repo: Project, root: Path) -> None:
    write(root / "dist/own-1.0-py3-none-any.whl", "not really")
    write(root / "job.py", "print(1)")
    loop = {"inputs": "[1]", "task": {"task_key": "i", "notebook_task": {"notebook_path": "nb/load"}}}
    wheel = {"package_name": "own", "entry_point": "main"}
    library = [{"whl": "dist/own-1.0-py3-none-any.whl"}, {"pypi": {"package": "rich"}}]
    repo.add("a", config={"task_type": "task", "task": {"for_each_task": loop}})
    repo.add("b", config={"task_type": "task", "task": {"python_wheel_task": wheel, "libraries": library}})
    repo.add("c", config={"task_type": "task", "task": {"spark_python_task": {"python_file": "./job.py"}}})
    spec = {"environment_version": "3", "dependencies": ["pandas", "./dist/own-1.0-py3-none-any.whl"]}
    repo.job_config(environments=[{"environment_key": "e", "spec": spec}])
    apply(repo)
    made = tasks(repo)
    assert made["a"]["for_each_task"]["task"]["notebook_task"]["notebook_path"].endswith("/load")
    uploaded = made["b"]["libraries"][0]["whl"]
    assert (uploaded.startswith(FOLDER), made["b"]["libraries"][1]) == (True, library[1])
    assert repo.client.workspace.get_status(made["c"]["spark_python_task"]["python_file"]).object_type is not None
    (environment,) = repo.only_job()["settings"]["environments"]
    assert environment["spec"]["dependencies"] == ["pandas", uploaded]
    assert kinds(repo) == {"m": "skip"}


def test_a_file_that_changes_between_plan_and_apply_fails_its_module(repo: Project, root: Path) -> None:
    repo.add("a", config=NOTEBOOK)
    orchestrator = repo.orchestrator
    plan = orchestrator.plan()
    write(root / "nb/load.py", "# Databricks notebook source\nprint(3)")
    with pytest.raises(Exception, match="1 module failed") as failed:
        orchestrator.apply(plan)
    assert "load.py changed since the plan was made" in str(failed.value.failures)  # type: ignore[attr-defined]
    assert repo.raw_jobs() == []
    assert apply(repo) == {"m": "create"}


def test_one_file_of_many_modules_is_put_there_once(repo: Project) -> None:
    for number in range(5):
        repo.add("a", module=f"m{number}", config=NOTEBOOK)
    repo.writes()
    apply(repo)
    assert imports(repo) <= 2
    assert len(repo.raw_jobs()) == 5


def test_what_lies_beside_the_metadata_runs(repo: Project, root: Path) -> None:
    (root / "dist").mkdir()
    (root / "dist/retail_etl-1.0-py3-none-any.whl").write_bytes(wheel())
    write(root / "nb/load.py", "# Databricks notebook source\ndbutils.notebook.exit('loaded')")
    environment = {"environment_key": "own", "spec": {"dependencies": ["dist/retail_etl-1.0-py3-none-any.whl"]}}
    task = {"environment_key": "own", "python_wheel_task": {"package_name": "retail_etl", "entry_point": "load"}}
    repo.add("notebook", config=NOTEBOOK)
    repo.add("file", config=SQL, order=2)
    repo.add("wheel", config={"task_type": "task", "task": task}, order=3)
    repo.job_config(environments=[environment])
    apply(repo)
    run = repo.client.jobs.run_now(repo.only_job()["job_id"]).result()
    assert {each.task_key: each.state.result_state.value for each in run.tasks or ()} == dict.fromkeys(
        ("notebook", "file", "wheel"), "SUCCESS"
    )

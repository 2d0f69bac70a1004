"""The source stage as a task of a job and as a command: what a row becomes, what the program does, what is printed."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.compile import CompileOptions, compile_modules
from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.control import MONITOR_MODULE, Module, Source
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.stages import SourceStage
from lakeflow_job_meta.stages.entry import main
from lakeflow_job_meta.stages.http.failure import LoginRefused
from tests.conftest import Project
from tests.source_api import answering, running
from tests.stage_ground import TABLE, Ground, ground

WHEEL = "/Workspace/wheels/lakeflow_job_meta-0.1.0-py3-none-any.whl"
STAGE = {"task_type": "source_stage", "config_path": "/Workspace/metadata/stages/testhub.yml"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    from testhub_server import create_app

    with running(create_app()) as api:
        found = ground(tmp_path, api, monkeypatch)
        monkeypatch.setenv("LAKEFLOW_CONTROL_TABLE", TABLE)
        monkeypatch.setenv("LAKEFLOW_HOME", str(found.settings.home))
        monkeypatch.chdir(tmp_path)
        yield found


def compiled(
    wheel_path: str | None = WHEEL, reach: dict[str, str] | None = None, **config: Any
) -> tuple[dict[str, Any], list[str]]:
    source = Source("hub", "m", "api", 1, None, None, json.dumps({**STAGE, **config}))
    found = compile_modules([source], [], CompileOptions(TABLE, wheel_path=wheel_path, reach=reach or {}))
    tasks = found.jobs["m"].settings["tasks"] if "m" in found.jobs else [{}]
    return tasks[0], [str(each) for each in found.diagnostics]


def ljm(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(arguments))
    return code, out.getvalue(), err.getvalue()


def test_a_source_stage_becomes_a_wheel_task_with_the_products_wheel() -> None:
    task, found = compiled(bootstrap=True, existing_cluster_id="c1", libraries=[{"pypi": {"package": "x"}}])
    assert not found
    assert task["python_wheel_task"] == {
        "package_name": "lakeflow_job_meta",
        "entry_point": "lakeflow-source-stage",
        "named_parameters": {
            "config": STAGE["config_path"], "bootstrap": "true", "preview": "false", "control_table": TABLE,
            "module_name": "m", "source_id": "hub", "job_run_id": "{{job.run_id}}",
        },
    }  # fmt: skip
    assert task["libraries"] == [{"pypi": {"package": "x"}}, {"whl": WHEEL}]
    assert task["existing_cluster_id"] == "c1"


def test_without_a_cluster_the_wheel_is_in_an_environment_of_the_job_which_serverless_compute_asks_for() -> None:
    rows = [Source(name, "m", "api", 1, None, None, json.dumps(STAGE)) for name in ("hub", "desk")]
    environments = ({"environment_key": "mine", "spec": {"dependencies": ["pandas"]}},)
    module = Module("m", job_config=json.dumps({"environments": environments}))
    job = compile_modules(rows, [module], CompileOptions(TABLE, wheel_path=WHEEL)).jobs["m"].settings
    assert [each["spec"]["dependencies"] for each in job["environments"]] == [["pandas"], [WHEEL]]
    assert {task["environment_key"] for task in job["tasks"]} == {"lakeflow_job_meta"}
    assert not any("libraries" in task for task in job["tasks"])
    (task,) = compile_modules(rows[:1], [], CompileOptions(TABLE, None, "c1", WHEEL)).jobs["m"].settings["tasks"]
    assert (task["existing_cluster_id"], task["libraries"]) == ("c1", [{"whl": WHEEL}])


def test_a_source_stage_without_a_wheel_or_with_bad_keys_is_a_finding() -> None:
    _, found = compiled(None)
    assert any("no wheel of this product is known" in each and "LAKEFLOW_WHEEL_PATH" in each for each in found)
    _, found = compiled(config_path=" ", bootstrap="yes", settings={"stor": "x"}, previw=True)
    told = "\n".join(found)
    for words in (
        "expected text for 'config_path', found blank text", "expected true or false, found text",
        "unknown setting 'stor' (did you mean 'store'?)", "unknown key 'previw'",
    ):  # fmt: skip
        assert words in told


def test_a_task_on_this_machine_is_told_where_its_tables_and_its_workspace_are(tmp_path: Path) -> None:
    here = Settings(TABLE, tmp_path).reach
    task, found = compiled(reach=here, settings={"home": "/srv/lakeflow"})
    told = task["python_wheel_task"]["named_parameters"]
    assert not found
    assert {name: told[name] for name in here} == {
        "store": "embedded", "workspace": "local", "home": "/srv/lakeflow",
    }  # fmt: skip
    assert here["home"] == str(tmp_path.resolve())
    assert Settings(TABLE, tmp_path, workspace="https://workspace.example.com").reach == {}


def test_a_stage_file_is_named_by_an_absolute_path() -> None:
    _, found = compiled(config_path="metadata/stages/testhub.yml")
    assert any("expected an absolute path, found 'metadata/stages/testhub.yml'" in each for each in found)
    for path in ("/Volumes/main/etl/hub/testhub.yml", "{{job.parameters.file}}"):
        assert not compiled(config_path=path)[1]


def test_in_the_embedded_workspace_our_programs_need_no_wheel(project: Project) -> None:
    project.add("hub", "m", 1, STAGE)
    project.orchestrator.run_all_modules()
    settings = project.only_job()["settings"]
    assert "environments" not in settings and "libraries" not in settings["tasks"][0]
    assert settings["tasks"][0]["python_wheel_task"]["named_parameters"]["home"] == str(project.home.resolve())


def test_the_wheel_of_the_deployed_monitor_is_taken_where_none_is_set(project: Project) -> None:
    project.add("hub", "m", 1, STAGE)
    elsewhere = replace(project.settings, workspace="https://workspace.example.com")
    orchestrator = JobOrchestrator(TABLE, project.client, store=project.store, settings=elsewhere)
    action = next(each for each in orchestrator.plan().actions if each.module == "m")
    assert action.failed and "no wheel" in action.reason
    project.job_config(MONITOR_MODULE, parameters=[{"name": "wheel_path", "default": WHEEL}])
    project.orchestrator.run_all_modules()
    settings = project.only_job()["settings"]
    (environment,) = settings["environments"]
    assert environment["spec"]["dependencies"] == [WHEEL]
    assert settings["tasks"][0]["environment_key"] == environment["environment_key"]
    assert project.orchestrator.plan().empty


def test_the_program_of_the_task_runs_the_stage_as_a_pipeline_and_logs_the_jobs_run(
    hub: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"config": str(hub.config), "bootstrap": "true", "preview": "", "job_run_id": "42",
             "source_id": "hub", "module_name": "m"}  # fmt: skip
    assert main([f"--{name}={value}" for name, value in given.items()]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["correlation_id"] == "job-run-42"
    (row,) = hub.rows("source.config")
    assert (row["execution_mode"], row["notebook_name"], row["operation_type"]) == ("pipeline", "m/hub", "bootstrap")
    assert hub.log()[-1]["job_run_id"] == "42"


def test_the_program_fails_by_an_exception_so_that_the_job_does(hub: Ground) -> None:
    hub.api.fault("/me", answering(401))
    with pytest.raises(LoginRefused):
        main([f"--config={hub.config}"])
    for arguments, words in (([], "no stage file"), (["--config=x", "--bootstrap=maybe"], "true or false")):
        with pytest.raises(UsageError, match=words):
            main(arguments)


def test_a_secret_of_a_workspaces_scope_is_looked_up_there(hub: Ground, project: Project) -> None:
    api = project.client.api_client
    api.do("POST", "/api/2.0/secrets/scopes/create", body={"scope": "hub"})
    body = {"scope": "hub", "key": "token", "string_value": "testhub-example-token"}
    api.do("POST", "/api/2.0/secrets/put", body=body)
    hub.change(auth={"token": "{{secrets/hub/token}}"})
    settings = Settings(TABLE, hub.settings.home)
    stage = SourceStage(hub.config, TABLE, store=hub.store, settings=settings, workspace_client=project.client)
    result = asyncio.run(stage.execute())
    assert result.endpoint_success_count == 6
    hub.change(auth={"token": "{{secrets/hub/gone}}"})
    stage = SourceStage(hub.config, TABLE, store=hub.store, settings=settings, workspace_client=project.client)
    with pytest.raises(LoginRefused, match="the secret hub/gone can't be read"):
        asyncio.run(stage.execute())


def test_the_command_prints_the_tables_and_as_json_everything(hub: Ground) -> None:
    code, out, _ = ljm("stage", "source", "--config", str(hub.config), "--bootstrap")
    assert code == 0
    assert "main.source.portfolio at version 1" in out and "6 of 6 endpoints answered" in out
    code, out, _ = ljm("stage", "source", "--config", str(hub.config), "-o", "json")
    assert code == 0 and json.loads(out)["endpoints"]["GET /projects"]["records"] == 10


def test_the_command_fails_with_four_where_the_api_does_and_with_one_where_the_file_is_bad(hub: Ground) -> None:
    hub.api.fault("/me", answering(403))
    code, _, err = ljm("stage", "source", "--config", str(hub.config))
    assert code == 4 and "403" in err
    hub.change(base_url="nowhere")
    code, out, _ = ljm("stage", "source", "--config", str(hub.config), "-o", "json")
    assert code == 1 and "expected a URL" in json.loads(out)["diagnostics"][0]["message"]


def test_health_goes_through_the_checklist(hub: Ground) -> None:
    code, out, _ = ljm("stage", "health", "--config", str(hub.config))
    assert code == 1 and "it never ran" in out
    hub.run(bootstrap=True)
    code, out, _ = ljm("stage", "health", "--config", str(hub.config), "-o", "json")
    checks = {each["check"]: each["status"] for each in json.loads(out)}
    assert code == 0
    assert checks == dict.fromkeys(("stage file", "secrets", "login", "last run", "endpoints", "contract"), "ok")
    hub.api.fault("/me", answering(401))
    code, out, _ = ljm("stage", "health", "--config", str(hub.config))
    assert code == 1 and "401" in out
    code, out, _ = ljm("stage", "health", "--config", str(hub.config), "--offline")
    assert code == 0 and "not asked" in out


def test_contract_check_and_compare_say_it_by_their_exit_codes(hub: Ground) -> None:
    hub.run()
    path = "metadata/contracts/source.contract.yaml"
    assert ljm("contract", "check", "-o", "json")[0] == 0
    hub.store.sql("UPDATE main.source.portfolio SET endpoint_success_rate = 2")
    code, out, _ = ljm("contract", "check", path)
    assert code == 1 and "main.source.portfolio/endpoint_success_rate: error: 2.0 is more than 1" in out
    new = Path("new.yaml")
    new.write_text(Path(path).read_text("utf-8").replace("max_age_hours: 24}", "max_age_hours: 48}"), "utf-8")
    code, out, _ = ljm("contract", "compare", path, str(new))
    assert code == 1 and "must be 2.0.0 or more" in out
    new.write_text(new.read_text("utf-8").replace('"1.0.0"', '"2.0.0"'), "utf-8")
    assert ljm("contract", "compare", path, str(new), "-o", "json")[0] == 0

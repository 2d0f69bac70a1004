"""The pipeline registry over HTTP: what is registered becomes jobs, and each change of it a change of them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import MetadataMonitor, PipelineRegistry
from lakeflow_job_meta.bootstrap import Bootstrap
from lakeflow_job_meta.bootstrap.onetime_bootstrap_processor import get_engine
from lakeflow_job_meta.errors import InputError, WorkspaceError
from lakeflow_job_meta.model.plan import ActionKind
from lakeflow_job_meta.pipelines.sync import SyncReport
from lakeflow_job_meta.pipelines.tables import SOURCES
from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.shell import Shell, listed
from tests.acceptance.steps import apply, ids, kinds
from tests.conftest import TABLE, Project

REGISTRY = """\
registry_version: "1.0"
sources:
  - {source_name: crm, source_type: postgres, source_creds: {host: db, password: "{{secrets/crm/password}}"}}
destinations:
  - {destination_name: dwh, destination_type: postgres, destination_creds: {host: dwh, password: "env:PW"}}
tables:
  - source_tablename: crm.public.orders
    sink_tablename: dwh.public.orders
    source_to_dl_schedule: 15
    source_to_dl_load_type: incremental
    source_to_dl_incremental_key: updated_at
    dl_to_sink_schedule: 60
    dl_to_sink_load_type: full
  - source_tablename: crm.public.customers
    source_to_dl_load_type: full
"""
ORDERS_IN, ORDERS_OUT = "crm.public.orders.source_to_dl", "crm.public.orders.dl_to_sink"
CUSTOMERS = "crm.public.customers.source_to_dl"
ROOT = Path(__file__).resolve().parents[2]
CONFIG, STAGE_ROWS = "main.pipelines.pipeline_config", "main.pipelines.pipeline_stages"


@pytest.fixture
def piped(project: Project, tmp_path: Path) -> Project:
    """A project with a registry that isn't synced yet."""
    made = replace(project, settings=replace(project.settings, wheel_path="/Workspace/wheels/x.whl"))
    path = tmp_path / "registry.yml"
    path.write_text(REGISTRY)
    registry(made).load_yaml(path)
    return made


def registry(project: Project) -> PipelineRegistry:
    store = DeltaStore(project.home)
    return PipelineRegistry(TABLE, store, settings=project.settings, workspace_client=project.client)


def sync(project: Project) -> SyncReport:
    return registry(project).sync()


def test_what_is_registered_becomes_jobs_and_a_second_look_changes_nothing(piped: Project) -> None:
    assert sync(piped).added == (CUSTOMERS, ORDERS_OUT, ORDERS_IN)
    assert apply(piped) == dict.fromkeys((CUSTOMERS, ORDERS_OUT, ORDERS_IN), "create")
    assert set(kinds(piped).values()) == {"skip"}
    before = piped.versions()
    report = sync(piped)
    assert not report.wrote
    assert (report.unchanged, report.control_version, report.findings) == (3, None, ())
    assert piped.versions() == before


def test_a_sync_is_one_commit_a_table(piped: Project) -> None:
    before = piped.versions()
    sync(piped)
    after = piped.versions()
    assert {name: after[name] - before[name] for name in (TABLE, f"{TABLE}_modules")} == {
        TABLE: 1,
        f"{TABLE}_modules": 1,
    }


def test_a_changed_template_changes_all_its_jobs_in_one_plan_under_the_same_ids(piped: Project) -> None:
    sync(piped)
    apply(piped)
    before = ids(piped)
    piped.sql(f"INSERT INTO {STAGE_ROWS} VALUES (9, 'default', 5, 'Tell', 'notebook:/etl/tell', NULL)")
    assert sync(piped).changed == (CUSTOMERS, ORDERS_OUT, ORDERS_IN)
    assert apply(piped) == dict.fromkeys((CUSTOMERS, ORDERS_OUT, ORDERS_IN), "update")
    assert ids(piped) == before
    settings = piped.raw_job(before[ORDERS_OUT])["settings"]
    assert [task["task_key"] for task in settings["tasks"]] == [
        "default_1_driver_check", "default_3_load", "default_4_verify", "default_5_notebook",
    ]  # fmt: skip


def test_a_deactivated_row_pauses_its_job_and_an_activated_one_resumes_it(piped: Project) -> None:
    sync(piped)
    apply(piped)
    assert registry(piped).set_active("crm.public.orders", False)
    assert sync(piped).paused == (ORDERS_OUT, ORDERS_IN)
    assert apply(piped) == {ORDERS_OUT: "pause", ORDERS_IN: "pause"}
    assert piped.raw_job(ids(piped)[ORDERS_OUT])["settings"]["trigger"]["pause_status"] == "PAUSED"
    registry(piped).set_active("crm.public.orders", True)
    assert sync(piped).changed == (ORDERS_OUT, ORDERS_IN)
    apply(piped)
    assert piped.raw_job(ids(piped)[ORDERS_OUT])["settings"]["trigger"]["pause_status"] == "UNPAUSED"
    assert set(kinds(piped).values()) == {"skip"}


def test_a_row_that_is_gone_leaves_an_orphan_that_prune_deletes(piped: Project) -> None:
    sync(piped)
    apply(piped)
    piped.sql(f"DELETE FROM {CONFIG} WHERE source_tablename = 'crm.public.customers'")
    assert sync(piped).deleted == (CUSTOMERS,)
    assert CUSTOMERS in apply(piped) or CUSTOMERS in kinds(piped)
    assert apply(piped, prune=True)[CUSTOMERS] == "delete"
    assert set(ids(piped)) == {ORDERS_IN, ORDERS_OUT}


def test_an_empty_registry_never_means_to_delete_all(piped: Project) -> None:
    sync(piped)
    before = piped.versions()
    piped.sql(f"DELETE FROM {CONFIG}")
    with pytest.raises(InputError, match="has no rows, but 3 modules of it are there"):
        sync(piped)
    assert piped.versions() == before


def test_a_module_that_people_made_is_reported_and_left_alone(piped: Project) -> None:
    piped.add("own", CUSTOMERS)
    report = sync(piped)
    assert report.added == (ORDERS_OUT, ORDERS_IN)
    assert [str(each) for each in report.findings] == [
        f"{TABLE}/{CUSTOMERS}: error: people made a module of this name "
        "(rename it, or the table in the registry)"
    ]  # fmt: skip
    assert [row["source_id"] for row in piped.sql(f"SELECT * FROM {TABLE} WHERE module_name = '{CUSTOMERS}'")] == [
        "own"
    ]


def test_an_edit_of_a_generated_row_is_overwritten_and_told(piped: Project) -> None:
    sync(piped)
    piped.sql(
        f"UPDATE {TABLE} SET execution_order = 8 WHERE source_id = 'default_2_extract' AND module_name = '{CUSTOMERS}'"
    )
    report = sync(piped)
    assert report.changed == (CUSTOMERS,)
    assert [str(each) for each in report.overwritten] == [f"{CUSTOMERS}/default_2_extract: execution_order"]
    assert "an edit that is overwritten" in str(report)
    assert not sync(piped).wrote


def test_rows_that_came_by_sql_are_checked_and_freeze_only_their_own_modules(piped: Project) -> None:
    sync(piped)
    piped.sql(f"UPDATE {CONFIG} SET source_to_dl_load_type = 'all' WHERE source_tablename = 'crm.public.orders'")
    piped.sql(f"UPDATE {CONFIG} SET source_to_dl_schedule = 30 WHERE source_tablename = 'crm.public.customers'")
    piped.sql(f"INSERT INTO {STAGE_ROWS} VALUES (1, 'default', 1, 'x', 'extrakt', NULL)")
    found = [str(each) for each in registry(piped).check()]
    for expected in (
        f"{CONFIG}/crm.public.orders/source_to_dl_load_type: error", f"{STAGE_ROWS}/default/1/stage_type: error",
        f"{STAGE_ROWS}/default/1/id: error", "'default', 1 is there twice",
    ):  # fmt: skip
        assert any(expected in each for each in found), (expected, found)
    piped.sql(f"DELETE FROM {STAGE_ROWS} WHERE stage_type = 'extrakt'")
    report = sync(piped)
    assert report.frozen == (ORDERS_IN,)
    assert report.changed == (CUSTOMERS,)
    assert report.failed


def test_an_export_of_the_control_table_leaves_generated_rows_out(piped: Project, tmp_path: Path) -> None:
    piped.add("own", "mine")
    sync(piped)
    report = piped.manager.export_yaml(tmp_path / "out.yml")
    assert (report.modules, report.sources) == (1, 1)
    assert "generated_by" not in (tmp_path / "out.yml").read_text()
    assert not piped.manager.load_yaml(tmp_path / "out.yml").wrote


def test_what_a_run_records_changes_no_job(piped: Project) -> None:
    sync(piped)
    apply(piped)
    piped.sql(
        f"UPDATE {CONFIG} SET source_to_dl_last_incremental_value = current_timestamp(), "
        "dl_to_sink_last_loader_run_status = 'success', dl_to_sink_last_loader_run_timestamp = current_timestamp()"
    )
    assert not sync(piped).wrote
    assert set(kinds(piped).values()) == {"skip"}


def test_the_monitor_syncs_what_changed_and_looks_at_nothing_twice(piped: Project) -> None:
    monitor = piped_monitor(piped)
    first = monitor.check_and_update()
    assert first.synced is not None
    assert len(first.synced.added) == 3
    assert len(first.outcomes) == 3
    second = monitor.check_and_update()
    assert second.synced is None
    assert not second.changed
    piped.sql(f"UPDATE {CONFIG} SET dl_to_sink_is_active = false")
    third = monitor.check_and_update()
    assert third.synced is not None
    assert third.synced.paused == (ORDERS_OUT,)
    assert [str(each.action.kind) for each in third.outcomes] == ["pause"]
    assert third.line(1.0).startswith("cycle in 1.0 s: pipelines synced, 1 pause")


def test_what_is_wrong_with_the_registry_is_a_finding_of_the_monitor_and_stops_no_job(piped: Project) -> None:
    monitor = piped_monitor(piped)
    monitor.check_and_update()
    piped.sql(f"UPDATE {CONFIG} SET source_to_dl_schedule = 7 WHERE source_tablename = 'crm.public.orders'")
    piped.add("own", "mine")
    cycle = monitor.check_and_update()
    assert any("no job can start every 7 minutes" in str(each) for each in cycle.findings)
    assert [each.action.module for each in cycle.outcomes] == ["mine"]
    assert monitor.check_and_update().findings == cycle.findings
    piped.sql(f"DELETE FROM {CONFIG}")
    cycle = monitor.check_and_update()
    assert any("pipelines aren't synced" in str(each) for each in cycle.findings)
    assert not cycle.outcomes


def test_a_registry_that_doesnt_exist_costs_a_monitor_no_finding(project: Project) -> None:
    cycle = project.monitor().check_and_update()
    assert cycle.synced is None
    assert cycle.findings == ()


def piped_monitor(project: Project) -> MetadataMonitor:
    return project.monitor(heartbeat_seconds=0)


def test_plain_passwords_move_into_a_scope_and_references_stand_in_their_place(piped: Project) -> None:
    creds = json.dumps({"host": "erp", "password": "hunter2-secret", "options": {"url": "postgres://a:hunter3@h/d"}})
    name = "main.pipelines.sources_config"
    piped.sql(
        f"INSERT INTO {name} (id, source_name, source_type, source_creds) "
        f"VALUES ('017f22e2-79b0-7cc3-98c4-dc0c0c07398f', 'erp', 'postgres', '{creds}')"
    )
    moved = registry(piped).import_secrets("vault")
    assert moved == ["{{secrets/vault/source.erp.password}}", "{{secrets/vault/source.erp.options.url}}"]
    row = registry(piped).row(SOURCES, "erp")
    assert row["source_creds"]["password"] == moved[0]
    assert row["source_creds"]["host"] == "erp"
    assert secret(piped, "vault", "source.erp.password") == "hunter2-secret"
    assert registry(piped).import_secrets("vault") == []
    assert not [each for each in registry(piped).check() if "written out" in str(each)]


def test_a_secret_that_the_workspace_refuses_leaves_its_row_and_is_never_told(piped: Project) -> None:
    name = "main.pipelines.sources_config"
    piped.sql(f"""UPDATE {name} SET source_creds = '{{"password": "hunter2-secret"}}'""")
    said = "not this: hunter2-secret"
    piped.site.fault(path="secrets/put$", status=400, error_code="INVALID_PARAMETER_VALUE", message=said)
    with pytest.raises(WorkspaceError) as caught:
        registry(piped).import_secrets()
    assert "hunter2" not in str(caught.value)
    piped.site.no_faults()
    assert "hunter2-secret" in piped.sql(f"SELECT source_creds FROM {name}")[0]["source_creds"]
    assert registry(piped).import_secrets() == ["{{secrets/pipelines/source.crm.password}}"]


def test_a_sqlite_registry_moves_its_passwords_while_it_is_imported(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE sources_config (id TEXT, source_name TEXT, source_type TEXT, source_creds TEXT)")
        row = ("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "crm", "postgres", '{"pass": "hunter2-secret"}')
        made.execute("INSERT INTO sources_config VALUES (?, ?, ?, ?)", row)
        made.commit()
    report = registry(project).import_sqlite(path, "crm-secrets")
    assert report.added == {SOURCES: ["crm"]}
    assert registry(project).row(SOURCES, "crm")["source_creds"] == {"pass": "{{secrets/crm-secrets/source.crm.pass}}"}
    assert secret(project, "crm-secrets", "source.crm.pass") == "hunter2-secret"


def secret(project: Project, scope: str, key: str) -> str:
    import base64

    query = {"scope": scope, "key": key}
    found: dict[str, Any] = project.client.api_client.do("GET", "/api/2.0/secrets/get", query=query)
    return base64.b64decode(found["value"]).decode()


def test_the_command_line_from_a_table_to_a_job_and_back(shell: Shell, tmp_path: Path) -> None:
    (shell.folder / "lakeflow.yml").open("a").write("wheel_path: /Workspace/wheels/x.whl\n")
    shell("pipelines", "add", "source", "crm", "--set", "host=db", "--set", "password=env:PW")
    shell("pipelines", "add", "destination", "dwh", "--set", "host=dwh")
    done = shell("pipelines", "add", "table", "crm.public.orders", "--sink", "dwh.public.orders", "--schedule", "60")
    assert "next: `ljm pipelines sync`" in done.stderr
    assert shell("pipelines", "add", "table", "crm.public.a", "--load-type", "incremental", code=1).stdout == ""
    assert "hunter2" not in shell("pipelines", "add", "source", "x", "--set", "password=hunter2", code=1).stderr
    shell("pipelines", "add", "stage", "default", "5", "notebook:/etl/tell", "--name", "Tell")
    assert [row["source_tablename"] for row in shell.json("pipelines", "list")] == ["crm.public.orders"]
    assert "crm.public.orders" in shell("pipelines").stdout
    assert len(shell.json("pipelines", "list", "templates")) == 5
    described = shell.json("pipelines", "show", "crm.public.orders")
    assert described["lake_table"] == "main.dl.crm_public_orders"
    assert shell.json("pipelines", "check") == {"valid": True, "diagnostics": []}
    dry = shell.json("pipelines", "sync", "--dry-run")
    assert dry["added"] == [ORDERS_OUT, ORDERS_IN]
    assert "next: `ljm apply`" in shell("pipelines", "sync").stderr
    applied = shell.json("pipelines", "sync", "--apply", "--yes")
    assert [each["action"] for each in applied["outcomes"]] == ["create", "create"]
    assert len(listed(shell)) == 2
    assert shell.json("pipelines", "disable", "crm.public.orders", "--direction", "dl_to_sink")["changed"] is True
    shell("pipelines", "enable", "crm.public.orders", "--direction", "sideways", code=2)
    assert shell.json("pipelines", "sync")["paused"] == [ORDERS_OUT]
    shell("pipelines", "enable", "crm.public.orders")
    exported = shell.json("pipelines", "export", "out.yml")["path"]
    assert shell.json("pipelines", "load", exported)["unchanged"] == 8
    shell("sql", f"UPDATE {CONFIG} SET source_type = 'postgrs'")
    checked = shell.json("pipelines", "check", code=1)
    assert checked["valid"] is False
    assert "did you mean 'postgres'?" in checked["diagnostics"][0]["hint"]
    shell("pipelines", "sync", code=1)


def test_bootstrap_makes_the_same_tables_as_the_commands_do(project: Project, tmp_path: Path) -> None:
    pipeline = ROOT / "metadata" / "pipelines" / "registry.yml"
    (planned,) = Bootstrap(pipeline, settings=project.settings, store=project.store).plan()
    assert [each.kind for each in planned.plan.effective] == [ActionKind.CREATE] * 7
    registry(project).ensure_exists()
    bootstrap = Bootstrap(pipeline, settings=project.settings, store=DeltaStore(project.home))
    (planned,) = bootstrap.plan()
    assert planned.plan.effective == ()
    assert [each.reason for each in planned.plan.actions] == ["as declared"] * 6
    assert {str(each.status) for each in bootstrap.check()} == {"ok"}


def test_who_executes_pipelines_makes_the_registry_by_its_processor(project: Project) -> None:
    context = {
        "pipeline": ROOT / "metadata" / "pipelines" / "registry.yml",
        "settings": project.settings,
        "store": project.store,
    }
    step = {"step_id": "registry_tables", "ps_type": "setup.pipelines.registry"}
    result = asyncio.run(get_engine().execute(step, context))
    assert (result["dataset"], len(result["created"])) == ("main.pipelines", 6)
    assert registry(project).ensure_exists() == []
    assert len(registry(project).rows("pipeline_stages")) == 4

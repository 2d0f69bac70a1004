"""From registered tables to control rows, and from those to jobs: the same rows always make the same jobs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeflow_job_meta.compile import CompileOptions, compile_modules
from lakeflow_job_meta.model.control import Module, Source
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.generate import Extras, Generated
from lakeflow_job_meta.pipelines.generated import ModuleRows
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.schedule import firing, nearest_minutes
from lakeflow_job_meta.pipelines.sync_changes import SyncChanges, by_module, sync_changes
from lakeflow_job_meta.pipelines.tables import BUILT_IN_STAGES
from lakeflow_job_meta.pipelines.uuid7 import RANDOM_BITS, is_uuid7, uuid7
from tests.registry_rows import generated, orders, rows, source

CONTROL = "main.etl.control"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
INTO, OUT = "crm.public.orders.source_to_dl", "crm.public.orders.dl_to_sink"


def jobs(made: Generated) -> dict[str, Any]:
    sources = [Source.from_row(row) for each in made.modules.values() for row in each.sources]
    modules = [Module.from_row(each.module) for each in made.modules.values() if each.module]
    compiled = compile_modules(sources, modules, CompileOptions(CONTROL, wheel_path="/w/x.whl"))
    assert compiled.diagnostics == ()
    return {name: job.settings for name, job in compiled.jobs.items()}


def stored(made: Generated) -> tuple[list[Row], list[Row]]:
    """The rows as both tables hold them after a sync."""
    changes = sync_changes(made, {}, CONTROL, NOW)
    return list(changes.upserts), list(changes.module_upserts)


def again(made: Generated, sources: list[Row], modules: list[Row]) -> SyncChanges:
    return sync_changes(made, by_module(sources, modules), CONTROL, NOW)


def test_each_direction_of_a_table_is_a_module_with_the_stages_that_run_in_it() -> None:
    made = generated(rows())
    assert set(made.modules) == {INTO, OUT}
    assert [row["source_id"] for row in made.modules[INTO].sources] == [
        "default_1_driver_check", "default_2_extract", "default_4_verify",
    ]  # fmt: skip
    assert [row["execution_order"] for row in made.modules[OUT].sources] == [1, 3, 4]


def test_a_generated_module_compiles_to_a_job_of_our_own_program() -> None:
    settings = jobs(generated(rows(), Extras({"home": "/h"}, {"queue": {"enabled": True}}, {"max_retries": 2})))[INTO]
    extract = settings["tasks"][1]
    task = extract["python_wheel_task"]
    assert (task["package_name"], task["entry_point"]) == ("lakeflow_job_meta", "lakeflow-pipeline-stage")
    assert task["named_parameters"] == {
        "stage_type": "extract", "stage_order": "2", "stage_position": "2", "stage_count": "3",
        "stage_name": "Extract into the data lake", "pipeline_name": "default", "direction": "source_to_dl",
        "source_tablename": "crm.public.orders", "load_type": "incremental", "incremental_key": "updated_at",
        "home": "/h", "source_id": "default_2_extract", "module_name": INTO, "control_table": CONTROL,
        "job_run_id": "{{job.run_id}}", "task_run_id": "{{task.run_id}}", "trigger_type": "{{job.trigger.type}}",
        "triggered_by": "{{job.parameters.triggered_by}}", "backfill_from": "{{job.parameters.backfill_from}}",
        "backfill_to": "{{job.parameters.backfill_to}}",
    }  # fmt: skip
    assert extract["depends_on"] == [{"task_key": "default_1_driver_check"}]
    assert extract["max_retries"] == 2
    assert settings["schedule"]["quartz_cron_expression"].endswith("/15 * * * ?")
    assert settings["max_concurrent_runs"] == 1
    assert settings["queue"] == {"enabled": True}
    assert settings["tags"] == {"generated_by": "pipelines"}
    assert [each["name"] for each in settings["parameters"]] == ["triggered_by", "backfill_from", "backfill_to"]
    assert jobs(generated(rows()))[OUT]["trigger"] == {"periodic": {"interval": 2, "unit": "HOURS"}}


def test_how_far_runs_have_come_is_no_part_of_what_is_generated() -> None:
    ran = orders(
        source_to_dl_last_incremental_value=NOW, dl_to_sink_last_incremental_value=NOW,
        dl_to_sink_last_loader_run_timestamp=NOW, dl_to_sink_last_loader_run_status="failed",
    )  # fmt: skip
    assert generated(rows([ran])) == generated(rows())


def test_stages_of_the_user_are_told_the_same() -> None:
    template = "postgres_to_postgres"
    own = [
        {
            "id": 11,
            "pipeline_name": template,
            "stage_order": 1,
            "stage_name": "Look",
            "stage_type": "notebook:/etl/look",
        },
        {"id": 12, "pipeline_name": template, "stage_order": 2, "stage_type": "entry_point:acme_checks:scan"},
    ]
    settings = jobs(generated(rows(stages=[*BUILT_IN_STAGES, *own])))[OUT]
    look, scan = settings["tasks"]
    assert (look["task_key"], scan["task_key"]) == (
        "postgres_to_postgres_1_notebook",
        "postgres_to_postgres_2_entry_point",
    )
    assert look["notebook_task"]["notebook_path"] == "/etl/look"
    assert (scan["python_wheel_task"]["package_name"], scan["python_wheel_task"]["entry_point"]) == (
        "acme_checks",
        "scan",
    )
    differs = {"stage_type", "stage_order", "stage_position", "stage_name", "source_id"}
    one, other = look["notebook_task"]["base_parameters"], scan["python_wheel_task"]["named_parameters"]
    assert {name for name in one if one[name] != other[name]} == differs
    assert one["stage_count"] == "2"


def test_a_container_is_the_tasks_environment_or_the_image_of_its_own_cluster() -> None:
    stages = [
        {**BUILT_IN_STAGES[1], "driver_container": "environment:pg"},
        {**BUILT_IN_STAGES[2], "driver_container": "acme/pg:3"},
    ]
    environments = [{"environment_key": "pg", "spec": {"client": "2", "dependencies": ["/w/x.whl"]}}]
    cluster = {"spark_version": "16.4.x-scala2.12", "num_workers": 0, "node_type_id": "i3.xlarge"}
    extras = Extras({}, {"environments": environments}, {"new_cluster": cluster})
    without_cluster = jobs(generated(rows(stages=stages), Extras({}, {"environments": environments})))
    (extract,) = without_cluster[INTO]["tasks"]
    assert extract["environment_key"] == "pg"
    assert "new_cluster" not in without_cluster[OUT]["tasks"][0]
    (load,) = jobs(generated(rows([orders(source_to_dl_is_active=False)], stages=stages), extras))[OUT]["tasks"]
    assert load["new_cluster"] == {**cluster, "docker_image": {"url": "acme/pg:3"}}
    assert load["python_wheel_task"]["named_parameters"]["driver_container"] == "acme/pg:3"
    stands_for = Extras({}, {"environments": environments}, {"new_cluster": cluster}, {"acme/pg:3": "pg"})
    made = generated(rows([orders(source_to_dl_is_active=False)], stages=stages), stands_for)
    config = json.loads(made.modules[OUT].sources[0]["transformation_config"])
    assert (config["environment_key"], "new_cluster" in config) == ("pg", False)


def test_bad_rows_freeze_what_depends_on_them_and_nothing_else() -> None:
    good = orders(source_tablename="erp.public.orders", sink_tablename="dwh.public.erp_orders")
    made = generated(rows([orders(), good], [source(creds='{"password": "x"}'), source("erp", number=1)]))
    assert made.frozen == {INTO}
    assert OUT in made.modules
    assert "erp.public.orders.source_to_dl" in made.modules
    assert generated(rows([orders(dl_to_sink_schedule=7)])).frozen == {OUT}
    assert generated(rows([orders(), orders()])).frozen == {INTO, OUT}


def test_a_deactivated_direction_is_paused_however_bad_its_row_is() -> None:
    made = generated(rows([orders(source_to_dl_is_active=False, source_to_dl_load_type="x")]))
    assert made.paused == {INTO}
    assert set(made.modules) == {OUT}


def test_nothing_changed_is_nothing_written() -> None:
    made = generated(rows())
    changes = again(made, *stored(made))
    assert not changes.sources
    assert not changes.modules
    assert changes.unchanged == [OUT, INTO]


def test_a_changed_template_changes_every_module_of_it() -> None:
    sources, modules = stored(generated(rows()))
    stages = [*BUILT_IN_STAGES[:3], {**BUILT_IN_STAGES[3], "stage_order": 9}]
    changes = again(generated(rows(stages=stages)), sources, modules)
    assert changes.changed == [OUT, INTO]
    assert changes.overwritten == []
    assert {row["source_id"] for row in changes.deletes} == {"default_4_verify"}
    assert "default_9_verify" in {row["source_id"] for row in changes.upserts}


def test_an_edit_of_a_generated_row_is_overwritten_and_told() -> None:
    made = generated(rows())
    sources, modules = stored(made)
    sources[0] = {**sources[0], "execution_order": 7}
    del sources[1]
    modules[1] = {**modules[1], "job_config": "{}"}
    changes = again(made, sources, modules)
    assert [str(each) for each in changes.overwritten] == [
        f"{OUT}/default_1_driver_check: execution_order", f"{OUT}/default_3_load: the row was gone",
        f"{INTO}: job_config",
    ]  # fmt: skip
    assert len(changes.upserts) == 2
    assert len(changes.module_upserts) == 1


def test_a_module_that_people_made_is_never_touched() -> None:
    made = generated(rows())
    own = {"module_name": INTO, "source_id": "a", "source_config": "{}", "is_active": True}
    changes = again(made, [own], [])
    assert [row["module_name"] for row in changes.upserts] == [OUT] * 3
    assert any("people made a module of this name" in str(each) for each in changes.findings)
    sources, modules = stored(made)
    sources = [{**row, "execution_order": 9} for row in sources]
    changes = again(made, [*sources, own], modules)
    assert changes.touched == {OUT}
    assert any("a source that people made stands in a generated module" in str(each) for each in changes.findings)
    changes = again(made, [], [{"module_name": INTO, "job_config": None}])
    assert changes.touched == {OUT}
    changes = again(made, [*sources, sources[0]], modules)
    assert any("this row is there twice" in str(each) for each in changes.findings)


def test_what_is_no_longer_registered_is_deleted_and_what_people_put_beside_it_stays() -> None:
    sources, modules = stored(generated(rows()))
    own = {"module_name": OUT, "source_id": "a", "source_config": None}
    changes = again(generated(rows([])), [*sources, own], modules)
    assert changes.deleted == [OUT, INTO]
    assert {row["source_id"] for row in changes.deletes if row["module_name"] == OUT} == {
        "default_1_driver_check", "default_3_load", "default_4_verify",
    }  # fmt: skip
    assert [row["module_name"] for row in changes.module_deletes] == [INTO]


def test_deactivating_changes_nothing_but_is_active_and_activating_brings_the_row_back() -> None:
    made = generated(rows())
    sources, modules = stored(made)
    off = generated(rows([orders(source_to_dl_is_active=False)]))
    changes = again(off, sources, modules)
    assert changes.paused == [INTO]
    assert all(row["is_active"] is False for row in [*changes.upserts, *changes.module_upserts])
    sources = [row for row in sources if row["module_name"] != INTO] + list(changes.upserts)
    modules = [row for row in modules if row["module_name"] != INTO] + list(changes.module_upserts)
    assert not again(off, sources, modules).touched
    back = again(made, sources, modules)
    assert back.changed == [INTO]
    assert back.overwritten == []


def test_an_inactive_table_gets_no_rows() -> None:
    made = generated(rows([orders(source_to_dl_is_active=False, dl_to_sink_is_active=False)]))
    assert not sync_changes(made, {}, CONTROL, NOW).touched


def test_a_module_of_ours_is_told_by_its_sources_or_its_tags() -> None:
    sources, modules = stored(generated(rows()))
    assert ModuleRows(tuple(sources[:3]), None).is_ours
    assert ModuleRows((), modules[0]).is_ours
    assert not ModuleRows((), {"module_name": "m", "job_config": "not json"}).is_ours


@given(st.integers(1, 20_000), st.text("abcxyz.", min_size=1, max_size=9))
def test_what_fires_a_job_fires_it_as_often_as_was_said(minutes: int, module: str) -> None:
    made = firing(minutes, module)
    if made is None:
        assert minutes % 60 if minutes > 60 else 60 % minutes
        assert all(firing(each, module) for each in nearest_minutes(minutes))
    elif "trigger" in made:
        periodic = made["trigger"]["periodic"]
        units = {"HOURS": 60, "DAYS": 1440, "WEEKS": 10_080}
        assert periodic["interval"] * units[periodic["unit"]] == minutes
    else:
        second, minute = made["schedule"]["quartz_cron_expression"].split()[:2]
        assert 0 <= int(second) < 60
        assert minute == "*" if minutes == 1 else int(minute.split("/")[0]) < minutes == int(minute.split("/")[1])


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**RANDOM_BITS - 1))
def test_a_uuid_7_holds_its_moment_and_all_of_chance(milliseconds: int, chance: int) -> None:
    made = uuid7(milliseconds, chance)
    assert is_uuid7(str(made))
    assert made.int >> 80 == milliseconds
    assert (made.int >> 64 & 0xFFF) << 62 | made.int & (1 << 62) - 1 == chance


def test_uuids_7_sort_by_time_and_others_are_none() -> None:
    assert str(uuid7(1, 2**RANDOM_BITS - 1)) < str(uuid7(2, 0))
    assert not is_uuid7("x")
    assert not is_uuid7(str(UUID(int=0)))
    with pytest.raises(ValueError, match="48 bits"):
        uuid7(2**48, 0)


def test_the_marks_of_a_row_tell_where_it_comes_from() -> None:
    config = json.loads(generated(rows()).modules[INTO].sources[0]["source_config"])
    fingerprint = config.pop("fingerprint")
    assert config == {"generated_by": "pipelines", "source_tablename": "crm.public.orders", "direction": "source_to_dl"}
    assert len(fingerprint) == 16
    assert {str(each) for each in Direction} == {"source_to_dl", "dl_to_sink"}


def test_a_stage_whose_row_is_bad_is_a_finding_with_the_nearest_name() -> None:
    config = {
        "task_type": "pipeline_stage", "stage_type": "extrakt", "direction": "source_to_d", "stage_order": 0,
        "stage_position": "1", "stage_count": 2, "pipeline_name": "default", "source_tablename": " ",
        "settings": {"lake_schem": "x"}, "load_typ": "full",
    }  # fmt: skip
    row = Source("a", "m", "x", 1, None, None, json.dumps(config))
    found = "\n".join(str(each) for each in compile_modules([row], [], CompileOptions(CONTROL)).diagnostics)
    for expected in (
        "unknown stage_type 'extrakt' (did you mean 'extract'?)", "unknown direction 'source_to_d'",
        "expected a number from 1 for 'stage_order', found 0",
        "expected a number from 1 for 'stage_position', found '1'",
        "expected text for 'stage_name', found nothing", "expected text for 'source_tablename', found blank text",
        "unknown setting 'lake_schem' (did you mean 'lake_schema'?)",
        "unknown key 'load_typ' for task_type pipeline_stage",
    ):  # fmt: skip
        assert expected in found, (expected, found)


def test_a_sync_that_ended_between_its_two_commits_is_finished_by_the_next() -> None:
    made = generated(rows())
    sources, modules = stored(made)
    only_modules = again(made, [], modules)
    assert (only_modules.added, only_modules.module_upserts, only_modules.findings) == ([OUT, INTO], [], [])
    assert len(only_modules.upserts) == 6
    only_sources = again(made, sources, [])
    assert (len(only_sources.module_upserts), only_sources.upserts, only_sources.findings) == (2, [], [])
    gone = again(generated(rows([])), [], modules)
    assert [row["module_name"] for row in gone.module_deletes] == [OUT, INTO]

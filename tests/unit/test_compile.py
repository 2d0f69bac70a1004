"""Rows to settings: what each kind of row becomes, and what is found in bad ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakeflow_job_meta.compile import Compiled, CompileOptions, compile_modules
from lakeflow_job_meta.model.control import Module, Source
from lakeflow_job_meta.model.job import QUERY_REF

TABLE = "main.etl.control"
NOTEBOOK = {"task_type": "notebook", "notebook_path": "/etl/load"}


def source(source_id: str, config: Any = None, order: int | None = 1, **fields: Any) -> Source:
    text = config if isinstance(config, str) else json.dumps(NOTEBOOK if config is None else config)
    return Source(source_id, fields.pop("module", "m"), "delta", order, "{}", "{}", text, **fields)


def compiled(*sources: Source, job_config: Any = None, **options: Any) -> Compiled:
    text = job_config if isinstance(job_config, str) else json.dumps(job_config or {})
    return compile_modules(sources, [Module("m", job_config=text)], CompileOptions(TABLE, **options))


def task(config: Any, **options: Any) -> dict[str, Any]:
    result = compiled(source("s", config), **options)
    assert not result.diagnostics, [str(each) for each in result.diagnostics]
    return result.jobs["m"].settings["tasks"][0]


def findings(*sources: Source, **given: Any) -> list[str]:
    return [str(each) for each in compiled(*sources, **given).diagnostics]


def depends_on(result: Compiled) -> dict[str, list[str]]:
    tasks = result.jobs["m"].settings["tasks"]
    return {task["task_key"]: [each["task_key"] for each in task.get("depends_on", [])] for task in tasks}


def test_a_notebook_gets_its_row_as_parameters_and_scalars_as_text() -> None:
    built = task({**NOTEBOOK, "parameters": {"day": 3, "full": True, "ratio": 0.5}, "max_retries": 2})
    assert built["notebook_task"] == {
        "notebook_path": "/etl/load",
        "source": "WORKSPACE",
        "base_parameters": {
            "day": "3", "full": "true", "ratio": "0.5",
            "source_id": "s", "module_name": "m", "control_table": TABLE,
        },
    }  # fmt: skip
    assert built["max_retries"] == 2


def test_an_inline_query_becomes_a_saved_query_and_its_task_refers_to_it() -> None:
    config = {
        "task_type": "sql_query",
        "sql_task": {"warehouse_id": "w", "sql_query": "SELECT 1", "parameters": {"n": 1}},
    }
    job = compiled(source("s", config)).jobs["m"]
    assert job.settings["tasks"][0]["sql_task"] == {
        "warehouse_id": "w",
        "query": {"query_id": QUERY_REF + "s"},
        "parameters": {"n": "1"},
    }
    assert job.queries["s"].text == "SELECT 1"


def test_a_query_id_is_used_as_it_is() -> None:
    built = task({"task_type": "sql_query", "sql_task": {"warehouse_id": "w", "query_id": "q1"}})
    assert built["sql_task"]["query"] == {"query_id": "q1"}


def test_a_sql_file_comes_from_the_workspace_unless_it_says_git() -> None:
    config = {"task_type": "sql_file", "sql_task": {"warehouse_id": "w", "sql_file_path": "/a.sql"}}
    assert task(config)["sql_task"]["file"] == {"path": "/a.sql", "source": "WORKSPACE"}
    config["sql_task"]["file_source"] = "GIT"  # type: ignore[index]
    git = {"git_url": "https://example.com/r", "git_provider": "gitHub", "git_branch": "main"}
    assert task(config, job_config={"git_source": git})["sql_task"]["file"]["source"] == "GIT"
    assert "no git_source" in findings(source("s", config))[0]


def test_a_raw_task_goes_through_as_it_is() -> None:
    raw = {"condition_task": {"left": "1", "op": "EQUAL_TO", "right": "1"}, "run_if": "ALL_DONE"}
    assert task({"task": raw}) == {"task_key": "s", **raw}
    assert task({"task_type": "task", "task": raw}) == {"task_key": "s", **raw}


def test_arguments_fill_in_warehouse_and_cluster() -> None:
    query = {"task_type": "sql_query", "sql_task": {"query_id": "q"}}
    assert task(query, default_warehouse_id="w9")["sql_task"]["warehouse_id"] == "w9"
    assert task(NOTEBOOK, cluster_id="c1")["existing_cluster_id"] == "c1"
    serverless = {**NOTEBOOK, "environment_key": "e"}
    built = task(serverless, cluster_id="c1", job_config={"environments": [{"environment_key": "e", "spec": {}}]})
    assert "existing_cluster_id" not in built


def test_tasks_of_one_order_run_in_parallel_after_the_nearest_lower_order() -> None:
    result = compiled(source("a"), source("b"), source("c", order=5), source("d", order=9))
    assert depends_on(result) == {"a": [], "b": [], "c": ["a", "b"], "d": ["c"]}


def test_an_order_may_be_nought_or_less() -> None:
    result = compiled(source("a"), source("before", order=0), source("first", order=-5))
    assert depends_on(result) == {"a": ["before"], "before": ["first"], "first": []}


def test_an_explicit_depends_on_replaces_the_order() -> None:
    result = compiled(
        source("a"),
        source("b", {**NOTEBOOK, "depends_on": []}, order=2),
        source("c", {**NOTEBOOK, "depends_on": ["a", {"task_key": "b", "outcome": "true"}]}, order=3),
    )
    assert depends_on(result) == {"a": [], "b": [], "c": ["a", "b"]}


def test_an_inactive_source_has_no_task_and_is_not_looked_into() -> None:
    result = compiled(source("a"), source("b", "{bad", order=2, is_active=False), source("c", order=3))
    assert depends_on(result) == {"a": [], "c": ["a"]}


def test_a_module_without_active_sources_is_inactive() -> None:
    assert not compiled(source("a", is_active=False)).jobs["m"].active
    module = Module("m", is_active=False)
    assert not compile_modules([source("a")], [module], CompileOptions(TABLE)).jobs["m"].active


def test_task_keys_replace_what_the_api_refuses() -> None:
    assert compiled(source("load orders/v2")).jobs["m"].settings["tasks"][0]["task_key"] == "load_orders_v2"


def test_the_job_is_named_after_its_module_unless_it_has_a_name() -> None:
    assert compiled(source("a")).jobs["m"].name == "Metadata_Driven_ETL_m"
    assert compiled(source("a"), job_config={"name": "Nightly"}).jobs["m"].settings["name"] == "Nightly"


def test_the_order_of_rows_changes_nothing() -> None:
    rows = [source("a"), source("b"), source("c", order=2)]
    prints = {compiled(*order).jobs["m"].fingerprint for order in (rows, rows[::-1])}
    assert len(prints) == 1


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ('{"task_type": "sql_query", "sql_task": {...}}', "transformation_config at offset 40: error: bad JSON"),
        ("[1]", "expected a JSON object, found a list"),
        ('{"task_type": "notebook", "task_type": "task"}', "the key 'task_type' is there twice"),
        ('{"task_type": "notebook", "n": NaN}', "NaN is not JSON"),
        ("", "task_type is missing"),
        ({"task_type": "notbook"}, "did you mean 'notebook'?"),
        (
            {**NOTEBOOK, "max_retrys": 1},
            "unknown key 'max_retrys' for task_type notebook (did you mean 'max_retries'?)",
        ),
        ({**NOTEBOOK, "task_key": "x"}, "it is the source_id"),
        ({**NOTEBOOK, "spark_jar_task": {}}, "'spark_jar_task' doesn't go with task_type notebook"),
        (
            {**NOTEBOOK, "timeout_seconds": "60"},
            "timeout_seconds: error: expected a whole number, found the string '60'",
        ),
        (
            {**NOTEBOOK, "parameters": {"a": [1]}},
            "at parameters.a: error: expected text, a number or a boolean, found a list",
        ),
        ({**NOTEBOOK, "parameters": {"source_id": "x"}}, "parameter 'source_id' is set by the product"),
        ({"task_type": "notebook"}, "expected text for 'notebook_path', found nothing"),
        ({"task_type": "sql_query"}, "at sql_task: error: expected a mapping"),
        (
            {"task_type": "sql_query", "sql_task": {"warehouse_id": "w"}},
            "expected one of sql_query and query_id, found neither",
        ),
        ({"task_type": "sql_query", "sql_task": {"query_id": "q"}}, "warehouse_id is missing"),
        ({"task_type": "sql_query", "sql_task": {"warehouse_id": "w", "qeury_id": "q"}}, "did you mean 'query_id'?"),
        (
            {"task_type": "sql_file", "sql_task": {"warehouse_id": "w", "sql_file_path": "a", "file_source": "git"}},
            "did you mean 'GIT'?",
        ),
        (
            {"task": {"notebook_task": {"notebook_path": "a"}, "task_key": "x"}},
            "at task.task_key: error: 'task_key' is set by the product",
        ),
        ({"task": {}}, "expected one task kind (…_task), found none"),
        ({"task": {"notebook_task": {"notebook_pth": "a"}}}, "did you mean 'notebook_path'?"),
        ({**NOTEBOOK, "depends_on": "a"}, "expected a list of source_ids, found text"),
        (
            {**NOTEBOOK, "depends_on": ["other"]},
            "depends on 'other', which isn't in this module (did you mean 'others'?)",
        ),
        ({**NOTEBOOK, "depends_on": ["s"]}, "depends on itself in a circle: s → s"),
        ({**NOTEBOOK, "job_cluster_key": "k"}, "names job_cluster_key 'k', which job_config doesn't declare"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_with_its_place(config: Any, expected: str) -> None:
    found = findings(source("s", config), source("others"))
    assert any(expected in each for each in found), found
    assert all(each.startswith(f"{TABLE}/m/s/transformation_config") for each in found), found


@pytest.mark.parametrize(
    ("job_config", "expected"),
    [
        ("{", "m/job_config at offset 1"),
        ({"shedule": {}}, "did you mean 'schedule'?"),
        ({"tasks": []}, "tasks are declared by sources"),
        ({"name": " "}, "expected a name of 1 to 4096 bytes"),
        ({"tags": {f"t{number}": "x" for number in range(25)}}, "found 25 tags, expected at most 24"),
        ({"max_concurrent_runs": "1"}, "expected a whole number, found the string '1'"),
        (
            {"continuous": {"pause_status": "PAUSED"}, "trigger": {"periodic": {"interval": 1, "unit": "DAYS"}}},
            "expected one of schedule, trigger and continuous",
        ),
    ],
)
def test_what_is_wrong_with_a_job_config_is_told(job_config: Any, expected: str) -> None:
    found = findings(source("s"), job_config=job_config)
    assert any(expected in each for each in found), found


def test_all_findings_come_at_once_and_other_modules_go_on() -> None:
    bad = source("s", {"task_type": "notebook", "notebook_pth": "a", "max_retrys": 1})
    result = compiled(bad, source("t", "{bad"), source("ok", module="good"), job_config={"shedule": {}})
    assert len(result.diagnostics) >= 4
    assert result.frozen == {"m"}
    assert list(result.jobs) == ["good"]


def test_doubled_rows_and_equal_task_keys_freeze_their_module() -> None:
    (doubled,) = findings(source("a"), source("a"), source("b", {**NOTEBOOK, "depends_on": ["a"]}))
    assert "source_id 'a' is there twice" in doubled
    assert "would both become the task 'a_b'" in findings(source("a b"), source("a/b"))[0]


def test_a_long_circle_names_all_its_rows() -> None:
    def needs(name: str, other: str) -> Source:
        return source(name, {**NOTEBOOK, "depends_on": [other]})

    found = findings(needs("a", "b"), needs("b", "c"), needs("c", "a"), source("d"))
    assert len(found) == 3
    assert "a → b → c → a" in found[0]


def test_depending_on_an_inactive_source_is_told() -> None:
    found = findings(source("a", {**NOTEBOOK, "depends_on": ["b"]}), source("b", is_active=False))
    assert "depends on 'b', which is inactive" in found[0]


def test_names_that_differ_only_by_case_freeze_both_modules() -> None:
    rows = [source("a", module="Orders"), source("a", module="orders")]
    result = compile_modules(rows, [], CompileOptions(TABLE))
    assert result.frozen == {"Orders", "orders"}
    assert not result.jobs


def test_a_reserved_or_blank_module_name_is_refused() -> None:
    rows = [source("a", module="$lease"), source("a", module=" ")]
    assert compile_modules(rows, [], CompileOptions(TABLE)).frozen == {"$lease", " "}

"""The names and types of the Jobs API, and the check against them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lakeflow_job_meta.model import jobs_api
from tests import jobs_api_schema
from tests.local_server import job, notebook_task


def found(value: object, type_name: str = "JobSettings") -> list[tuple[jobs_api.Path, str, str]]:
    return [(each.path, each.message, each.hint) for each in jobs_api.check(value, type_name)]


def test_the_shipped_file_is_what_the_installed_sdk_says() -> None:
    assert jobs_api_schema.TARGET.read_text() == jobs_api_schema.rendered()


def test_settings_that_use_many_fields_have_no_problem() -> None:
    settings = job(
        notebook_task("a", timeout_seconds=3, notebook_task={"notebook_path": "/n", "base_parameters": {"k": "v"}}),
        {"task_key": "b", "sql_task": {"warehouse_id": "w", "query": {"query_id": "q"}}, "run_if": "SOME_NEW_VALUE"},
        schedule={"quartz_cron_expression": "0 0 0 * * ?", "timezone_id": "UTC"},
        tags={"team": "a"}, queue={"enabled": True}, deployment={"kind": "BUNDLE"}, edit_mode="UI_LOCKED",
        job_clusters=[{"job_cluster_key": "c", "new_cluster": {"num_workers": 1, "spark_conf": {"a": "b"}}}],
    )  # fmt: skip
    assert found(settings) == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"timeout_seconds": "60"}, (("timeout_seconds",), "expected a whole number, found the string '60'", "")),
        ({"timeout_seconds": 1.5}, (("timeout_seconds",), "expected a whole number, found the number 1.5", "")),
        ({"timeout_seconds": True}, (("timeout_seconds",), "expected a whole number, found true", "")),
        ({"name": 5}, (("name",), "expected a string, found the number 5", "write it in quotes: '5'")),
        ({"tags": ["a"]}, (("tags",), "expected an object, found a list", "")),
        ({"tags": {"a": False}}, (("tags", "a"), "expected a string, found false", "write it in quotes: 'false'")),
        ({"tags": {1: "a"}}, (("tags", "1"), "expected a string as key, found the number 1", "")),
        ({"tasks": {"task_key": "a"}}, (("tasks",), "expected a list, found an object", "")),
        ({"tasks": [None]}, (("tasks", 0), "expected an object, found null", "")),
        ({"shedule": {}}, (("shedule",), "unknown field 'shedule' in JobSettings", "did you mean 'schedule'?")),
        (
            {"tasks": [{"notebook_task": {"notebok_path": "/n"}}]},
            (("tasks", 0, "notebook_task", "notebok_path"), "unknown field 'notebok_path' in NotebookTask",
             "did you mean 'notebook_path'?"),
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place_and_what_was_expected(value: Any, problem: Any) -> None:
    assert found(value) == [problem]


def test_all_problems_are_told_not_just_the_first() -> None:
    assert len(found({"name": 1, "nope": 2, "tasks": [{"task_key": 3}]})) == 3


def test_null_counts_as_absent() -> None:
    assert found({"name": None, "tasks": None}) == []


def test_a_list_type_and_a_nested_loop_can_be_checked() -> None:
    assert found([1], "list[str]")[0][0] == (0,)
    loop = {"task_key": "l", "for_each_task": {"inputs": "[1]", "task": {"task_key": 1}}}
    assert found(loop, "Task")[0][0] == ("for_each_task", "task", "task_key")


def test_known_leaves_out_what_the_service_would_ignore() -> None:
    settings = {"name": "a", "x": 1, "description": None, "tasks": [{"task_key": "a", "y": 1}], "tags": {"any": "b"}}
    assert jobs_api.known(settings, "JobSettings") == {
        "name": "a", "tasks": [{"task_key": "a"}], "tags": {"any": "b"}
    }  # fmt: skip


def test_an_unknown_type_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        jobs_api.fields("NoSuchType")


def test_a_thousand_jobs_are_checked_in_no_time() -> None:
    settings = job(*(notebook_task(f"t{i}", "a", timeout_seconds=1) for i in range(3)), tags={"a": "b"})
    jobs_api.check(settings, "JobSettings")
    start = time.process_time()
    for _ in range(1000):
        jobs_api.check(settings, "JobSettings")
    assert time.process_time() - start < 0.15

"""The three-way merge: what is ours wins, what isn't stays, and merging again changes nothing."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeflow_job_meta.engine.diff import changes, merge, three_way, union
from lakeflow_job_meta.engine.rules import load_rules
from lakeflow_job_meta.model.plan import MISSING, FieldChange

RULES = load_rules()


def merged(desired: Any, recorded: Any = None, observed: Any = None) -> dict[str, Any]:
    return merge(desired, recorded or {}, observed or {}, RULES)


def paths(before: Any, after: Any) -> list[str]:
    return [f"{change.sign} {change.path}" for change in changes(before, after, RULES)]


def task(key: str, **fields: Any) -> dict[str, Any]:
    return {"task_key": key, **fields}


def test_a_field_that_nobody_declared_stays() -> None:
    assert merged({"timeout_seconds": 5}, {}, {"description": "by hand"})["description"] == "by hand"


def test_a_field_that_was_declared_and_no_longer_is_goes() -> None:
    assert merged({}, {"timeout_seconds": 5}, {"timeout_seconds": 5}) == {}


def test_a_dropped_mapping_goes_with_what_the_server_put_into_it() -> None:
    ours = {"quartz_cron_expression": "0 0 0 * * ?", "timezone_id": "UTC"}
    assert merged({}, {"schedule": ours}, {"schedule": {**ours, "pause_status": "UNPAUSED"}}) == {}


def test_an_extra_task_is_drift_and_an_extra_parameter_is_not() -> None:
    observed = {"tasks": [task("a"), task("extra")], "parameters": [{"name": "p", "default": "1"}]}
    result = merged({"tasks": [task("a")], "parameters": [{"name": "q", "default": "2"}]}, {}, observed)
    assert [each["task_key"] for each in result["tasks"]] == ["a"]
    assert {each["name"] for each in result["parameters"]} == {"p", "q"}


def test_dropping_all_our_tags_leaves_those_of_others() -> None:
    assert merged({}, {"tags": {"ours": "1"}}, {"tags": {"ours": "1", "cost": "2"}}) == {"tags": {"cost": "2"}}


def test_recipients_of_others_stay_and_ours_go_when_dropped() -> None:
    recorded = {"email_notifications": {"on_failure": ["us@x.io"]}}
    observed = {"email_notifications": {"on_failure": ["us@x.io", "them@x.io"]}}
    assert merged({}, recorded, observed) == {"email_notifications": {"on_failure": ["them@x.io"]}}


def test_a_dependency_that_was_added_by_hand_goes() -> None:
    observed = {"tasks": [task("a"), task("b", depends_on=[{"task_key": "a"}])]}
    assert "depends_on" not in merged({"tasks": [task("a"), task("b")]}, {}, observed)["tasks"][1]


def test_choosing_one_of_a_union_removes_the_others() -> None:
    assert set(merged({"trigger": {"periodic": {}}}, {}, {"schedule": {"timezone_id": "UTC"}})) == {"trigger"}
    observed = {"tasks": [task("a", notebook_task={"notebook_path": "n"}, existing_cluster_id="c")]}
    result = merged({"tasks": [task("a", sql_task={"warehouse_id": "w"}, job_cluster_key="k")]}, {}, observed)
    assert set(result["tasks"][0]) == {"task_key", "sql_task", "job_cluster_key"}


def test_several_choices_of_a_union_are_left_for_the_service_to_judge() -> None:
    both = {"tasks": [task("a", new_cluster={"autoscale": {"max_workers": 2}, "num_workers": 1})]}
    assert merged(both, {}, both) == both


def test_a_task_in_a_loop_follows_the_rules_of_a_task() -> None:
    def loop(**inner: Any) -> dict[str, Any]:
        return {"tasks": [task("a", for_each_task={"inputs": "[1]", "task": task("i", **inner)})]}

    recipients = ["a@x.io", "b@x.io"]
    before = loop(email_notifications={"on_start": recipients}, existing_cluster_id="c", run_if="ALL_SUCCESS")
    after = loop(email_notifications={"on_start": recipients[::-1]}, job_cluster_key="k")
    assert paths(before, merged(after, {}, before)) == [
        "- tasks[a].for_each_task.task.existing_cluster_id",
        "+ tasks[a].for_each_task.task.job_cluster_key",
    ]


def test_environment_variables_are_told_apart_by_their_key() -> None:
    wanted = {"environment_variables": [{"environment_variables_key": key} for key in ("a", "b")]}
    there = {"environment_variables": wanted["environment_variables"][::-1]}
    assert paths(there, merged(wanted, wanted, there)) == []


def test_run_as_cannot_be_removed() -> None:
    run_as = {"user_name": "a@x.io"}
    assert merged({}, {"run_as": run_as}, {"run_as": run_as}) == {"run_as": run_as}


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        ({"timeout_seconds": 0}, {}),
        ({"email_notifications": {}}, {}),
        ({"queue": {"enabled": True}}, {"queue": {"enabled": True}}),
        ({"tasks": [task("a", run_if="ALL_SUCCESS")]}, {"tasks": [task("a")]}),
        ({"tasks": [task("a")]}, {"tasks": [task("a", run_if="ALL_SUCCESS", timeout_seconds=0)]}),
        (
            {"tasks": [task("a", notebook_task={"notebook_path": "/Workspace/Users/x"})]},
            {"tasks": [task("a", notebook_task={"notebook_path": "/Users/x", "source": "WORKSPACE"})]},
        ),
    ],
)
def test_what_the_server_fills_in_is_no_difference(desired: Any, observed: Any) -> None:
    assert paths(observed, merged(desired, {}, observed)) == []


def test_changes_name_list_entries_by_their_key() -> None:
    before = {"tasks": [task("a", timeout_seconds=1)], "tags": {"x": "1"}}
    after = {"tasks": [task("a", timeout_seconds=2), task("b")], "tags": {}}
    assert paths(before, after) == ["~ tasks[a].timeout_seconds", "+ tasks[b]", "- tags.x"]


def test_a_change_has_what_was_recorded_beside_what_is_there_and_what_will_be() -> None:
    recorded = {"tasks": [{"task_key": "a", "max_retries": 1}], "timeout_seconds": 9}
    observed = {"tasks": [{"task_key": "a", "max_retries": 2}, {"task_key": "b"}], "timeout_seconds": 9}
    after = {"tasks": [{"task_key": "a", "max_retries": 3}], "timeout_seconds": 9, "tags": {"team": "x"}}
    assert three_way(recorded, after, observed, RULES) == (
        FieldChange("tasks[a].max_retries", old=1, new=3, observed=2),
        FieldChange("tasks[b]", observed={"task_key": "b"}),
        FieldChange("tags", new={"team": "x"}, observed=MISSING),
    )


def test_a_union_of_ownership_has_the_fields_of_both() -> None:
    left, right = {"tasks": [task("a", max_retries=1)]}, {"tasks": [task("a", timeout_seconds=2)], "name": "n"}
    assert union(left, right, RULES) == {"tasks": [task("a", max_retries=1, timeout_seconds=2)], "name": "n"}


words = st.sampled_from(["a", "b", "c", "d"])
numbers = st.integers(0, 3)
tasks = st.lists(words, unique=True, max_size=4).flatmap(
    lambda keys: st.tuples(
        *(
            st.fixed_dictionaries(
                {"task_key": st.just(key)},
                optional={
                    "timeout_seconds": numbers,
                    "max_retries": numbers,
                    "notebook_task": st.fixed_dictionaries(
                        {"notebook_path": words}, optional={"base_parameters": st.dictionaries(words, words)}
                    ),
                    "sql_task": st.fixed_dictionaries({"warehouse_id": words}),
                    "depends_on": st.lists(words, unique=True).map(lambda ks: [{"task_key": k} for k in ks]),
                    "email_notifications": st.fixed_dictionaries(
                        {}, optional={"on_failure": st.lists(words, unique=True)}
                    ),
                },
            )
            for key in keys
        )
    ).map(list)
)
settings = st.fixed_dictionaries(
    {},
    optional={
        "tasks": tasks,
        "tags": st.dictionaries(words, words),
        "timeout_seconds": numbers,
        "description": words,
        "schedule": st.fixed_dictionaries({"quartz_cron_expression": words}, optional={"timezone_id": words}),
        "continuous": st.fixed_dictionaries({"task_retry_mode": words}),
        "parameters": st.lists(words, unique=True).map(lambda ks: [{"name": k, "default": "1"} for k in ks]),
        "webhook_notifications": st.fixed_dictionaries(
            {}, optional={"on_start": st.lists(words, unique=True).map(lambda ks: [{"id": k} for k in ks])}
        ),
        "environments": st.lists(words, unique=True).map(lambda ks: [{"environment_key": k} for k in ks]),
    },
).filter(lambda each: not ("schedule" in each and "continuous" in each))


@given(settings, settings, settings)
def test_what_was_applied_needs_no_change(desired: Any, recorded: Any, observed: Any) -> None:
    target = merged(desired, recorded, observed)
    again = merged(desired, desired, target)
    assert paths(target, again) == []


@given(settings, settings)
def test_the_merge_changes_none_of_its_inputs(desired: Any, observed: Any) -> None:
    before = copy.deepcopy((desired, observed))
    merged(desired, {}, observed)
    assert (desired, observed) == before


@given(settings, st.randoms(use_true_random=False))
def test_the_order_of_keyed_lists_means_nothing(wanted: Any, chance: random.Random) -> None:
    there = merged(wanted)
    shuffled = copy.deepcopy(there)
    for value in (*shuffled.values(), *(task.get("depends_on") for task in shuffled.get("tasks", []))):
        if isinstance(value, list):
            chance.shuffle(value)
    assert paths(there, merged(wanted, wanted, shuffled)) == []


@given(settings, settings)
def test_every_desired_field_is_in_the_result(desired: Any, observed: Any) -> None:
    result = merged(desired, {}, observed)
    for name, value in desired.items():
        if isinstance(value, str | int) and value != 0:
            assert result[name] == value
    assert {t["task_key"] for t in desired.get("tasks", [])} == {t["task_key"] for t in result.get("tasks", [])} or (
        "tasks" not in desired
    )


def test_missing_prints_as_such() -> None:
    assert repr(MISSING) == "MISSING"

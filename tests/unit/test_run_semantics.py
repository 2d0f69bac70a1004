"""What run_if, conditions, loops and retries mean: each row as Databricks' documentation has it, with its source."""

from __future__ import annotations

import doctest
from itertools import product
from typing import Any

import pytest

from lakeflow_job_meta.local.runs import condition, dag, loop, notebook_html, references, retry
from lakeflow_job_meta.local.runs.condition import BadCondition, holds
from lakeflow_job_meta.local.runs.dag import (
    HANDLES_FAILURE,
    RUN_IF,
    Outcome,
    comes_to,
    needs_of,
    seen_through,
    selected,
    verdict,
)
from lakeflow_job_meta.local.runs.loop import BadInputs, inputs_of, loop_comes_to, next_iterations
from lakeflow_job_meta.local.runs.references import UnknownReference, Value, job_names, resolved
from lakeflow_job_meta.local.runs.retry import retried_at

RUN_IF_PAGE = "https://docs.databricks.com/jobs/run-if.html"
DISABLED_PAGE = "https://docs.databricks.com/aws/en/jobs/disabled-tasks"
IF_ELSE_PAGE = "https://docs.databricks.com/jobs/if-else.html"
FOR_EACH_PAGE = "https://docs.databricks.com/jobs/for-each.html"
REFERENCES_PAGE = "https://docs.databricks.com/jobs/dynamic-value-references.html"
API_PAGE = "https://docs.databricks.com/api/workspace/jobs/create"
OURS = "the documentation is silent: chosen here"

RUN, S, F, T, C = None, Outcome.SUCCESS, Outcome.FAILED, Outcome.TIMEDOUT, Outcome.CANCELED
X, UF, UC, D = Outcome.EXCLUDED, Outcome.UPSTREAM_FAILED, Outcome.UPSTREAM_CANCELED, Outcome.DISABLED
SF = Outcome.SUCCESS_WITH_FAILURES

WHEN = [
    # "All succeeded: … This is the default … The task is marked as Upstream failed if the condition is unmet."
    ("ALL_SUCCESS", [], RUN, RUN_IF_PAGE),
    ("ALL_SUCCESS", [S], RUN, RUN_IF_PAGE),
    ("ALL_SUCCESS", [S, S], RUN, RUN_IF_PAGE),
    ("ALL_SUCCESS", [S, SF], RUN, OURS),
    ("ALL_SUCCESS", [S, F], UF, RUN_IF_PAGE),
    ("ALL_SUCCESS", [S, T], UF, RUN_IF_PAGE),
    ("ALL_SUCCESS", [UF], UF, RUN_IF_PAGE),
    ("ALL_SUCCESS", [F, C], UF, OURS),
    # "If you cancel a task run, the cancellation propagates through downstream tasks"
    ("ALL_SUCCESS", [S, C], UC, RUN_IF_PAGE),
    ("ALL_SUCCESS", [UC], UC, RUN_IF_PAGE),
    # "Excluded tasks are skipped and are treated as successful."
    ("ALL_SUCCESS", [S, X], RUN, RUN_IF_PAGE),
    # "At least one succeeded … marked as Upstream failed if the condition is unmet."
    ("AT_LEAST_ONE_SUCCESS", [S, F], RUN, RUN_IF_PAGE),
    ("AT_LEAST_ONE_SUCCESS", [F, X], RUN, RUN_IF_PAGE),
    ("AT_LEAST_ONE_SUCCESS", [F, T], UF, RUN_IF_PAGE),
    ("AT_LEAST_ONE_SUCCESS", [C, C], UC, RUN_IF_PAGE),
    # "None failed: None of the dependencies failed, and at least one dependency was run."
    ("NONE_FAILED", [S, S], RUN, RUN_IF_PAGE),
    ("NONE_FAILED", [S, X], RUN, RUN_IF_PAGE),
    ("NONE_FAILED", [S, F], UF, RUN_IF_PAGE),
    ("NONE_FAILED", [S, C], UC, RUN_IF_PAGE),
    # "All done: The task is run after all its dependencies have run, regardless of the status"
    ("ALL_DONE", [S, F], RUN, RUN_IF_PAGE),
    ("ALL_DONE", [F, T, C, UF, UC], RUN, RUN_IF_PAGE),
    ("ALL_DONE", [X, F], RUN, RUN_IF_PAGE),
    # "At least one failed … marked as Excluded if the condition is unmet."
    ("AT_LEAST_ONE_FAILED", [S, F], RUN, RUN_IF_PAGE),
    ("AT_LEAST_ONE_FAILED", [S, T], RUN, RUN_IF_PAGE),
    ("AT_LEAST_ONE_FAILED", [S, UF], RUN, RUN_IF_PAGE),
    ("AT_LEAST_ONE_FAILED", [S, S], X, RUN_IF_PAGE),
    # "tasks with a Run if condition that handles failure are run, for example … when a task run is canceled"
    ("AT_LEAST_ONE_FAILED", [S, C], RUN, RUN_IF_PAGE),
    ("AT_LEAST_ONE_FAILED", [UC], RUN, RUN_IF_PAGE),
    # "All failed … marked as Excluded if the condition is unmet."
    ("ALL_FAILED", [F, F], RUN, RUN_IF_PAGE),
    ("ALL_FAILED", [F, C], RUN, RUN_IF_PAGE),
    ("ALL_FAILED", [S, F], X, RUN_IF_PAGE),
    ("ALL_FAILED", [X, F], X, RUN_IF_PAGE),
    # The table of the page on disabled tasks, row by row.
    ("ALL_SUCCESS", [D], D, DISABLED_PAGE),
    ("ALL_SUCCESS", [D, S], D, DISABLED_PAGE),
    ("ALL_SUCCESS", [D, F], UF, OURS),
    ("AT_LEAST_ONE_SUCCESS", [D, S], RUN, DISABLED_PAGE),
    ("AT_LEAST_ONE_SUCCESS", [D, D], D, DISABLED_PAGE),
    ("AT_LEAST_ONE_SUCCESS", [D, F], UF, OURS),
    ("NONE_FAILED", [D, X], RUN, DISABLED_PAGE),
    ("NONE_FAILED", [D, S], RUN, DISABLED_PAGE),
    ("NONE_FAILED", [D, D], D, DISABLED_PAGE),
    ("ALL_DONE", [D], RUN, DISABLED_PAGE),
    ("AT_LEAST_ONE_FAILED", [D, F], RUN, DISABLED_PAGE),
    ("AT_LEAST_ONE_FAILED", [D, S], D, DISABLED_PAGE),
    ("ALL_FAILED", [D], D, DISABLED_PAGE),
    ("ALL_FAILED", [D, F], D, DISABLED_PAGE),
]


@pytest.mark.parametrize(("run_if", "dependencies", "expected", "source"), WHEN)
def test_a_task_runs_when_its_run_if_says_so(
    run_if: str, dependencies: list[Outcome], expected: Outcome | None, source: str
) -> None:
    assert verdict(run_if, dependencies) is expected, source
    assert verdict(run_if, dependencies[::-1]) is expected, "the order of dependencies means nothing"


@pytest.mark.parametrize("run_if", RUN_IF)
def test_a_task_whose_dependencies_are_all_excluded_is_excluded_whatever_its_run_if(run_if: str) -> None:
    # "If all task dependencies are excluded, the task is also excluded, regardless of its Run if condition."
    assert verdict(run_if, [X, X]) is X, RUN_IF_PAGE


@pytest.mark.parametrize("run_if", RUN_IF)
def test_a_disabled_task_never_runs_and_ends_disabled(run_if: str) -> None:
    for first, second in product(Outcome, Outcome):
        assert verdict(run_if, [first, second], disabled=True) is D, DISABLED_PAGE
    assert verdict(run_if, [], disabled=True) is D


@pytest.mark.parametrize("run_if", RUN_IF)
def test_every_combination_of_two_outcomes_has_an_end(run_if: str) -> None:
    allowed = {X, D} if run_if in HANDLES_FAILURE else {X, D, UF, UC}
    for first, second in product(Outcome, Outcome):
        found = verdict(run_if, [first, second])
        assert found is RUN or found in allowed


@pytest.mark.parametrize(
    ("outcome", "wanted", "found", "seen"),
    [
        (S, "true", "true", S),
        (S, "true", "false", X),
        (S, "false", "true", X),
        (S, None, "false", S),
        (F, "true", "", F),  # a condition that couldn't be evaluated isn't false
        (X, "true", "", X),
    ],
)
def test_a_branch_that_a_condition_did_not_take_is_excluded(
    outcome: Outcome, wanted: str | None, found: str, seen: Outcome
) -> None:
    assert seen_through(outcome, wanted, found) is seen, IF_ELSE_PAGE


ENDS = [
    # "Succeeded: All tasks were successful. Succeeded with failures: some failed, but all leaf tasks were successful.
    # Failed: One or more of the leaf tasks failed."
    ({"a": S, "b": S}, {"b": ["a"]}, S, RUN_IF_PAGE),
    ({"a": F, "b": S}, {"b": ["a"]}, SF, RUN_IF_PAGE),
    ({"a": S, "b": F}, {"b": ["a"]}, F, RUN_IF_PAGE),
    ({"a": F, "b": UF}, {"b": ["a"]}, F, RUN_IF_PAGE),
    ({"a": S, "b": X}, {"b": ["a"]}, S, RUN_IF_PAGE),
    ({"a": F, "b": X}, {"b": ["a"]}, SF, RUN_IF_PAGE),
    ({"a": S, "b": T}, {}, F, RUN_IF_PAGE),
    ({"a": C, "b": S}, {"b": ["a"]}, SF, OURS),
    ({"a": S, "b": C}, {"b": ["a"]}, C, OURS),
    ({"a": C, "b": F}, {}, F, OURS),
    ({"a": S, "b": D}, {"b": ["a"]}, S, OURS),
    ({"a": D, "b": D}, {"b": ["a"]}, D, OURS),
]


@pytest.mark.parametrize(("outcomes", "needs", "expected", "source"), ENDS)
def test_leaves_decide_what_a_run_comes_to(
    outcomes: dict[str, Outcome], needs: dict[str, list[str]], expected: Outcome, source: str
) -> None:
    assert comes_to(outcomes, {key: needs.get(key, []) for key in outcomes}) is expected, source


CONDITIONS = [
    # "EQUAL_TO, NOT_EQUAL operators perform string comparison … “12.0” == “12” will evaluate to false"
    ("EQUAL_TO", "12.0", "12", False),
    ("EQUAL_TO", "true", "true", True),
    ("NOT_EQUAL", "12.0", "12", True),
    ("NOT_EQUAL", "a", "a", False),
    # "…perform numeric comparison … “12.0” >= “12” will evaluate to true, “10.0” >= “12” … false"
    ("GREATER_THAN_OR_EQUAL", "12.0", "12", True),
    ("GREATER_THAN_OR_EQUAL", "10.0", "12", False),
    ("GREATER_THAN", "12.0", "12", False),
    ("GREATER_THAN", "9007199254740993", "9007199254740992", True),
    ("LESS_THAN", "-1.5", "0", True),
    ("LESS_THAN", "0", "-0", False),
    ("LESS_THAN_OR_EQUAL", "1e3", "1000", True),
    ("LESS_THAN_OR_EQUAL", " 3 ", "2", False),
]


@pytest.mark.parametrize(("op", "left", "right", "expected"), CONDITIONS)
def test_a_condition_compares_texts_or_numbers(op: str, left: str, right: str, expected: bool) -> None:
    assert holds(op, left, right) is expected, API_PAGE


@pytest.mark.parametrize("operand", ["", "abc", "NaN", "1,5", "{{job.id}}"])
def test_an_order_of_what_is_no_number_is_an_error(operand: str) -> None:
    with pytest.raises(BadCondition, match="LESS_THAN compares numbers"):
        holds("LESS_THAN", operand, "1")


def test_an_operator_that_there_is_not_is_an_error() -> None:
    with pytest.raises(BadCondition, match="op 'LIKE' is none of EQUAL_TO"):
        holds("LIKE", "1", "1")


RETRIES: list[tuple[dict[str, Any], str, Outcome, int, int | None]] = [
    # "An optional maximum number of times to retry an unsuccessful run … 0 means to never retry, -1 indefinitely"
    ({}, "sql_task", F, 1, None),
    ({"max_retries": 0}, "sql_task", F, 1, None),
    ({"max_retries": 2}, "sql_task", F, 1, 1000),
    ({"max_retries": 2}, "sql_task", F, 2, 1000),
    ({"max_retries": 2}, "sql_task", F, 3, None),
    ({"max_retries": -1}, "sql_task", F, 99, 1000),
    # "A run is considered to be unsuccessful if it completes with the FAILED result_state"
    ({"max_retries": 2}, "sql_task", S, 1, None),
    ({"max_retries": 2}, "sql_task", C, 1, None),
    ({"max_retries": 2}, "sql_task", UF, 1, None),
    # "An optional minimal interval in milliseconds between the start of the failed run and the subsequent retry run."
    ({"max_retries": 1, "min_retry_interval_millis": 2000}, "notebook_task", F, 1, 3000),
    # "An optional policy to specify whether to retry a job when it times out. The default behavior is to not retry"
    ({"max_retries": 1}, "sql_task", T, 1, None),
    ({"max_retries": 1, "retry_on_timeout": True}, "sql_task", T, 1, 1000),
    ({"retry_on_timeout": True}, "sql_task", T, 1, None),
    # "The condition task … does not support retries or notifications."
    ({"max_retries": 1}, "condition_task", F, 1, None),
]


@pytest.mark.parametrize(("task", "kind", "outcome", "tries", "expected"), RETRIES)
def test_a_failed_attempt_is_followed_by_another_as_the_task_says(
    task: dict[str, Any], kind: str, outcome: Outcome, tries: int, expected: int | None
) -> None:
    assert retried_at(task, kind, outcome, tries, 1000) == expected, API_PAGE


@pytest.mark.parametrize(
    ("states", "concurrency", "expected"),
    [
        (["waiting"] * 3, 1, [0]),
        (["waiting"] * 3, 2, [0, 1]),
        (["active", "waiting", "waiting"], 1, []),
        (["ended", "active", "waiting", "waiting"], 3, [2, 3]),
        (["ended", "ended"], 5, []),
        (["waiting"], 0, [0]),
    ],
)
def test_a_loop_keeps_as_many_iterations_going_as_it_may(
    states: list[str], concurrency: int, expected: list[int]
) -> None:
    assert next_iterations(states, concurrency) == expected, FOR_EACH_PAGE


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [([], (S, "")), ([S, S], (S, "")), ([S, F, T], (F, "2 of 3 iterations failed.")), ([S, X], (S, "")),
     ([S, C], (C, "1 of 2 iterations were canceled.")), ([F, C], (F, "1 of 2 iterations failed."))],
)  # fmt: skip
def test_a_loop_fails_with_any_of_its_iterations(outcomes: list[Outcome], expected: tuple[Outcome, str]) -> None:
    assert loop_comes_to(outcomes) == expected, FOR_EACH_PAGE


def test_inputs_are_a_json_array_of_anything() -> None:
    assert inputs_of('[1, "b", {"c": [true]}]') == [1, "b", {"c": [True]}]
    assert inputs_of("[]") == []
    for text in ("", "a,b", '{"a": 1}', '"a"', "[1"):
        with pytest.raises(BadInputs, match="must be a JSON array"):
            inputs_of(text)
    with pytest.raises(BadInputs, match="5001 inputs"):
        inputs_of("[" + "1," * 5000 + "1]")


NAMES = {
    "job": job_names(
        1_700_000_000_123, id=5, name="j", run_id=6, repair_count=0, parameters={"p": "x", "odd-name.1": "y"},
        trigger={"type": "onetime"},
    ),
    "task": {"name": "t", "run_id": 8, "execution_count": 1},
    "tasks": {
        "a": {"values": {"n": 3, "flag": True, "list": ["u", 1], "o": Value(k="deep")}, "result_state": "success"},
    },
    "input": Value(day="2024-01-01", n=2),
}  # fmt: skip

REFERENCES = [
    ("job_{{job.run_id}}", "job_6"),  # the page's own example
    ("{{job.id}}/{{ job.name }}", "5/j"),
    ("{{job.parameters.p}}", "x"),
    ("{{job.parameters.`odd-name.1`}}", "y"),
    ("{{job.trigger.type}}", "onetime"),
    ("{{job.start_time.iso_date}}", "2023-11-14"),
    ("{{job.start_time.iso_datetime}}", "2023-11-14T22:13:20"),
    ("{{job.start_time.timestamp_ms}}", "1700000000123"),
    ("{{job.start_time.is_weekday}}", "true"),
    ("{{job.start_time.iso_weekday}}", "2"),
    ("{{task.name}}.{{task.execution_count}}", "t.1"),
    ("{{tasks.a.values.n}}", "3"),
    ("{{tasks.a.values.flag}}", "true"),
    ("{{tasks.a.values.list}}", '["u", 1]'),
    ("{{tasks.a.values.o}}", '{"k": "deep"}'),
    ("{{tasks.a.values.o.k}}", "deep"),
    ("{{tasks.a.result_state}}", "success"),
    ("{{input.day}}", "2024-01-01"),
    ("{{input}}", '{"day": "2024-01-01", "n": 2}'),
    # "Syntax errors, including non-existent dynamic reference values and missing braces, are silently ignored"
    ("{{my.value}}", "{{my.value}}"),
    ("{{job.id}", "{{job.id}"),
    ("{{}}", "{{}}"),
    ("plain", "plain"),
]


@pytest.mark.parametrize(("text", "expected"), REFERENCES)
def test_a_reference_is_replaced_by_its_value(text: str, expected: str) -> None:
    assert resolved(text, NAMES) == expected, REFERENCES_PAGE


def test_references_are_put_in_at_any_depth_and_only_into_texts() -> None:
    value = {"parameters": {"a": "{{job.id}}"}, "list": ["{{task.name}}", 3, None], "n": 1.5}
    assert resolved(value, NAMES) == {"parameters": {"a": "5"}, "list": ["t", 3, None], "n": 1.5}


def test_unknown_references_of_a_known_namespace_are_all_told_with_the_nearest_name() -> None:
    # "An error message is displayed if you provide an not valid reference belonging to a known namespace"
    with pytest.raises(UnknownReference) as caught:
        resolved(["{{job.naem}}", "{{tasks.b.values.x}}", "{{job}}"], NAMES)
    message = str(caught.value)
    assert "{{job.naem}}: job has no 'naem' (did you mean 'name'?)" in message
    assert "{{tasks.b.values.x}}: tasks has no 'b'" in message
    assert "{{job}}: names a group of values" in message


def test_only_takes_a_task_alone_or_with_what_is_upstream_or_downstream_of_it() -> None:
    tasks = [
        {"task_key": "a"},
        {"task_key": "b", "depends_on": [{"task_key": "a"}]},
        {"task_key": "c", "depends_on": [{"task_key": "b"}]},
        {"task_key": "d"},
    ]
    needs = needs_of(tasks)
    for only, expected in [
        (["b"], "b"), (["+b"], "ab"), (["b+"], "bc"), (["+b+"], "abc"), (["a", "d"], "ad"), (["+c", "d"], "abcd"),
    ]:  # fmt: skip
        assert selected(only, needs) == set(expected), API_PAGE
    with pytest.raises(KeyError):
        selected(["x"], needs)


def test_the_examples_in_the_code_hold() -> None:
    for module in (condition, dag, loop, notebook_html, references, retry):
        found = doctest.testmod(module)
        assert found.attempted > 0
        assert found.failed == 0

"""Which task runs when, and what a run comes to: pure functions over outcomes.

The rules are Databricks': https://docs.databricks.com/jobs/run-if.html (run_if, what a run comes to) and
https://docs.databricks.com/aws/en/jobs/disabled-tasks (disabled tasks); `tests/unit/test_run_semantics.py` is the table
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a run or a task run ended: the API's result states."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMEDOUT = "TIMEDOUT"
    CANCELED = "CANCELED"
    EXCLUDED = "EXCLUDED"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    UPSTREAM_CANCELED = "UPSTREAM_CANCELED"
    DISABLED = "DISABLED"
    SUCCESS_WITH_FAILURES = "SUCCESS_WITH_FAILURES"
    MAXIMUM_CONCURRENT_RUNS_REACHED = "MAXIMUM_CONCURRENT_RUNS_REACHED"


SUCCEEDED = frozenset({Outcome.SUCCESS, Outcome.SUCCESS_WITH_FAILURES})
CANCELED = frozenset({Outcome.CANCELED, Outcome.UPSTREAM_CANCELED})
UNDONE = frozenset({Outcome.FAILED, Outcome.TIMEDOUT, Outcome.UPSTREAM_FAILED})
FAILED = UNDONE | CANCELED
"""What a task that handles failures waits for: the documentation runs them after a cancel too."""
FINE = SUCCEEDED | {Outcome.EXCLUDED}
"""Excluded tasks "are skipped and are treated as successful"."""

Outcomes = Sequence[Outcome]


def _count(outcomes: Outcomes, wanted: Collection[Outcome]) -> int:
    return sum(each in wanted for each in outcomes)


RUN_IF: Mapping[str, Callable[[Outcomes], bool]] = {
    "ALL_SUCCESS": lambda found: _count(found, FINE) == len(found),
    "AT_LEAST_ONE_SUCCESS": lambda found: _count(found, FINE) > 0,
    "NONE_FAILED": lambda found: _count(found, FAILED) == 0 and _count(found, FINE) > 0,
    "ALL_DONE": lambda found: True,
    "AT_LEAST_ONE_FAILED": lambda found: _count(found, FAILED) > 0,
    "ALL_FAILED": lambda found: _count(found, FAILED) == len(found),
}
HANDLES_FAILURE = frozenset({"AT_LEAST_ONE_FAILED", "ALL_FAILED"})


def seen_through(outcome: Outcome, wanted: str | None, found: str) -> Outcome:
    """What a dependency's end means to the task that depends on it.

    Args:
        outcome: how the dependency ended.
        wanted: the outcome of a condition task that the dependency asks for (`true`, `false`), None for any.
        found: what the condition came to.

    >>> seen_through(Outcome.SUCCESS, "true", "false").value
    'EXCLUDED'
    """
    return Outcome.EXCLUDED if wanted and outcome in SUCCEEDED and found != wanted else outcome


def verdict(run_if: str, dependencies: Outcomes, *, disabled: bool = False) -> Outcome | None:
    """What becomes of a task when all that it depends on has ended: None if it runs, else how it ends unrun.

    >>> verdict("ALL_SUCCESS", [Outcome.SUCCESS, Outcome.FAILED]).value
    'UPSTREAM_FAILED'
    """
    if disabled:
        return Outcome.DISABLED
    if not dependencies:
        return None
    if all(each is Outcome.EXCLUDED for each in dependencies):
        return Outcome.EXCLUDED
    if RUN_IF[run_if](dependencies):
        return None
    if run_if in HANDLES_FAILURE:
        return Outcome.DISABLED if Outcome.DISABLED in dependencies else Outcome.EXCLUDED
    if _count(dependencies, UNDONE):
        return Outcome.UPSTREAM_FAILED
    return Outcome.UPSTREAM_CANCELED if _count(dependencies, CANCELED) else Outcome.DISABLED


def comes_to(outcomes: Mapping[str, Outcome], needs: Mapping[str, Iterable[str]]) -> Outcome:
    """What a run comes to: decided by its leaves, the tasks that no other depends on.

    Args:
        outcomes: by task_key, all of them.
        needs: by task_key, the keys that a task depends on.

    >>> comes_to({"a": Outcome.FAILED, "b": Outcome.SUCCESS}, {"a": [], "b": ["a"]}).value
    'SUCCESS_WITH_FAILURES'
    """
    needed = {key for keys in needs.values() for key in keys}
    leaves = [outcome for key, outcome in outcomes.items() if key not in needed]
    if _count(leaves, UNDONE):
        return Outcome.FAILED
    if _count(leaves, CANCELED):
        return Outcome.CANCELED
    if outcomes and all(each is Outcome.DISABLED for each in outcomes.values()):
        return Outcome.DISABLED
    return Outcome.SUCCESS_WITH_FAILURES if _count(list(outcomes.values()), FAILED) else Outcome.SUCCESS


def needs_of(tasks: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The keys that each task depends on, as far as they are among these tasks."""
    listed = list(tasks)
    known = {str(task["task_key"]) for task in listed}
    return {
        str(task["task_key"]): [
            str(each["task_key"]) for each in task.get("depends_on", ()) if each["task_key"] in known
        ]
        for task in listed
    }


def reached(keys: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """The keys and all that can be reached from them over edges."""
    found, waiting = set[str](), list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(edges.get(key, ()))
    return found


def turned(edges: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """The edges the other way round.

    >>> turned({"a": [], "b": ["a"]})
    {'a': ['b'], 'b': []}
    """
    result: dict[str, list[str]] = {key: [] for key in edges}
    for key, targets in edges.items():
        for target in targets:
            result[target].append(key)
    return result


def selected(only: Iterable[str], needs: Mapping[str, Iterable[str]]) -> set[str]:
    """The tasks that `only` of run-now names: `+key` with all upstream of it, `key+` with all downstream.

    Raises:
        KeyError: a key that isn't there.

    >>> sorted(selected(["+b"], {"a": [], "b": ["a"], "c": ["b"]}))
    ['a', 'b']
    """
    found = set[str]()
    for each in only:
        key = each.removeprefix("+").removesuffix("+")
        if key not in needs:
            raise KeyError(key)
        found.add(key)
        if each.startswith("+"):
            found |= reached([key], needs)
        if each.endswith("+"):
            found |= reached([key], turned(needs))
    return found

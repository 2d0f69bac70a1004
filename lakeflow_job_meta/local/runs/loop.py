"""A for_each task: its inputs, and what its iterations come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from lakeflow_job_meta.local.runs.dag import FINE, Outcome

MOST_INPUTS = 5000


class BadInputs(ValueError):
    """The inputs aren't a list."""


def inputs_of(text: str) -> list[Any]:
    """The inputs, each of them for one iteration, from their JSON text after all references were put in.

    Raises:
        BadInputs: it isn't a JSON array, or is too long.

    >>> inputs_of('["a", {"k": 1}]')
    ['a', {'k': 1}]
    """
    try:
        found: object = json.loads(text)
    except ValueError:
        raise BadInputs(f"inputs must be a JSON array; found {text[:100]!r}") from None
    if not isinstance(found, list):
        raise BadInputs(f"inputs must be a JSON array; found {text[:100]!r}")
    inputs = cast("list[Any]", found)
    if len(inputs) > MOST_INPUTS:
        raise BadInputs(f"{len(inputs)} inputs; a loop takes at most {MOST_INPUTS}")
    return inputs


def next_iterations(states: Sequence[str], concurrency: int) -> list[int]:
    """Which iterations begin now, by position.

    Args:
        states: of each iteration, in order: `waiting`, `active` or `ended`.
        concurrency: how many may be active at once.

    >>> next_iterations(["ended", "active", "waiting", "waiting"], 2)
    [2]
    """
    free = max(1, concurrency) - sum(state == "active" for state in states)
    waiting = [position for position, state in enumerate(states) if state == "waiting"]
    return waiting[: max(0, free)]


def loop_comes_to(outcomes: Sequence[Outcome]) -> tuple[Outcome, str]:
    """What a loop comes to when all its iterations have ended, and what is said about it.

    >>> loop_comes_to([Outcome.SUCCESS, Outcome.FAILED])[1]
    '1 of 2 iterations failed.'
    """
    canceled = sum(each is Outcome.CANCELED for each in outcomes)
    failed = sum(each not in FINE for each in outcomes) - canceled
    if failed:
        return Outcome.FAILED, f"{failed} of {len(outcomes)} iterations failed."
    if canceled:
        return Outcome.CANCELED, f"{canceled} of {len(outcomes)} iterations were canceled."
    return Outcome.SUCCESS, ""

"""JSON columns as text: what they hold, whether two say the same, and the one spelling that we write."""

from __future__ import annotations

import json
import math
from typing import Any


class NotJson(ValueError):
    """The text isn't JSON, or is JSON that not every reader understands alike; `offset` counts characters from 0."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


def parse(text: str) -> Any:
    """The value of a JSON text, stricter than Python: no NaN, no key twice, no number beyond double precision's range.

    Raises:
        NotJson: with the place, as far as it can be told.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as problem:
        raise NotJson(problem.msg, problem.pos) from problem
    except RecursionError as problem:
        raise NotJson("nested too deep") from problem
    except NotJson:
        raise
    except ValueError as problem:  # a whole number of more digits than Python converts
        raise NotJson(str(problem)) from problem


def compact(value: Any) -> str:
    """A value as JSON without spaces, its keys in the order they have.

    >>> compact({"b": 1, "a": "é"})
    '{"b":1,"a":"é"}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def normal(text: str | None) -> str | None:
    """One spelling for equal JSON values; text that isn't JSON stands for itself.

    >>> normal('{"b": 1, "a": true}') == normal('{"a":true,"b":1}')
    True
    """
    if text is None:
        return None
    try:
        return json.dumps(parse(text), sort_keys=True, separators=(",", ":"))
    except NotJson:
        return f"text:{text}"


def same(one: str | None, other: str | None) -> bool:
    """Whether two columns hold the same JSON value, however it is written."""
    return one == other or (one is not None and other is not None and normal(one) == normal(other))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise NotJson(f"the key '{doubled}' is there twice")
    return value


def _no_constant(name: str) -> Any:
    raise NotJson(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJson(f"the number {text} is too large")
    return number

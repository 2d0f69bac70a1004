"""Column defaults that need no SQL engine: literals and the clock.

delta-rs can't write tables that use Delta's own default feature, so defaults are kept as field metadata or, where an
engine makes the table by SQL, as a table property; whoever writes fills them. Anything else than what stands here is
evaluated by SQL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

DEFAULTS_PROPERTY = "lakeflow_job_meta.defaults"
"""The table property that holds the defaults, as JSON by column."""

ENGINE_DEFAULTS = {"delta.feature.allowColumnDefaults": "supported"}
"""The table property without which an engine fills no defaults; with it, delta-rs can't write the table."""

_CONSTANTS: dict[str, Any] = {"null": None, "true": True, "false": False}
_NOW = re.compile(r"(current_timestamp|now|localtimestamp)(\(\s*\))?", re.IGNORECASE)
_TODAY = re.compile(r"(current_date|curdate)(\(\s*\))?", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_TEXT = re.compile(r"'((?:[^'\\]|'')*)'")


def value_of(expression: str, now: datetime, evaluate: Callable[[str], Any]) -> Any:
    """What the default stands for at `now`; `evaluate` runs an expression that is more than a literal."""
    text = expression.strip()
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if _NOW.fullmatch(text):
        return now
    if _TODAY.fullmatch(text):
        return now.date()
    if _INTEGER.fullmatch(text):
        return int(text)
    if quoted := _TEXT.fullmatch(text):
        return quoted[1].replace("''", "'")
    return evaluate(text)


def defaults_of(properties: Mapping[str, str]) -> dict[str, str]:
    """The defaults that are kept as a table's property, by column.

    >>> defaults_of({DEFAULTS_PROPERTY: '{"is_active": "true"}'})
    {'is_active': 'true'}
    """
    try:
        found: object = json.loads(properties.get(DEFAULTS_PROPERTY, "{}"))
    except json.JSONDecodeError:
        found = None
    kept = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return {name: str(text) for name, text in kept.items()}

"""Column defaults that need no SQL engine: literals and the clock.

delta-rs can't write tables that use Delta's own default feature, so defaults are kept as field metadata and whoever
writes fills them. Anything else than what stands here is evaluated by the SQL front door.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

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

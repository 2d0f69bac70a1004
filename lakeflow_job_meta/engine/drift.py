"""What is done about drift, by field: enforce it away, report it, or ignore it. Pure.

A field that others may change is left out of what we own before the merge, as long as the rows themselves don't change
it: then it stays as it is observed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lakeflow_job_meta.engine.diff import entry_key
from lakeflow_job_meta.engine.rules import Rules, Shape
from lakeflow_job_meta.model.job import Settings, mapping
from lakeflow_job_meta.model.plan import MISSING

ENFORCE, REPORT, IGNORE = "enforce", "report", "ignore"
POLICIES = (ENFORCE, REPORT, IGNORE)

Pattern = tuple[str, ...]


def parse_pattern(text: str) -> Pattern:
    """A path as people write it, with `*` for any name: `tasks.*.max_retries`, `tasks[load].max_retries`, `tags.team`.

    >>> parse_pattern("tasks[load].max_retries")
    ('tasks', 'load', 'max_retries')
    """
    return tuple(part for part in text.replace("[", ".").replace("]", "").split(".") if part)


def disown(desired: Settings, recorded: Settings, patterns: Sequence[Pattern], rules: Rules) -> tuple[Any, Any]:
    """Desired and recorded settings without the fields of these patterns, where both have the same value."""
    return _disown(desired, recorded, tuple(patterns), (), rules)


def _disown(desired: Any, recorded: Any, patterns: tuple[Pattern, ...], shape: Shape, rules: Rules) -> tuple[Any, Any]:
    if not patterns:
        return desired, recorded
    if any(not pattern for pattern in patterns) and desired == recorded:
        return MISSING, MISSING
    key = rules.at(shape).list_key
    if isinstance(desired, Mapping):
        return _disown_map(cast("Settings", desired), mapping(recorded), patterns, shape, rules)
    if isinstance(desired, list) and key is not None:
        return _disown_list(cast("list[Any]", desired), recorded, patterns, shape, rules)
    return cast("Any", desired), recorded


def _disown_map(
    desired: Settings, recorded: Settings, patterns: tuple[Pattern, ...], shape: Shape, rules: Rules
) -> tuple[dict[str, Any], dict[str, Any]]:
    ours, before = dict(desired), dict(recorded)
    for name in desired.keys() | recorded.keys():
        deeper = _deeper(patterns, name)
        pair = desired.get(name, MISSING), recorded.get(name, MISSING)
        for side, value in zip((ours, before), _disown(*pair, deeper, (*shape, name), rules), strict=True):
            if value is MISSING:
                side.pop(name, None)
            else:
                side[name] = value
    return ours, before


def _disown_list(
    desired: list[Any], recorded: Any, patterns: tuple[Pattern, ...], shape: Shape, rules: Rules
) -> tuple[list[Any], Any]:
    rule = rules.at(shape)
    entries = cast("list[Any]", recorded) if isinstance(recorded, list) else []
    before = {entry_key(entry, rule): entry for entry in entries}
    ours: list[Any] = []
    for entry in desired:
        key = entry_key(entry, rule)
        one, other = _disown(entry, before.get(key, MISSING), _deeper(patterns, key), (*shape, "*"), rules)
        if one is MISSING and rule.exclusive:
            # Without its key the entry would count as somebody's extra and be removed.
            one = other = {rule.list_key: key}
        if one is not MISSING:
            ours.append(one)
        if other is MISSING:
            before.pop(key, None)
        else:
            before[key] = other
    return ours, list(before.values())


def _deeper(patterns: tuple[Pattern, ...], name: str) -> tuple[Pattern, ...]:
    return tuple(pattern[1:] for pattern in patterns if pattern and pattern[0] in ("*", name))

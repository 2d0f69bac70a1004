"""The three-way merge of a job's settings, and the difference of two settings field by field. Pure.

We own the fields that the metadata sets (desired) or set before (recorded). Everything else on a job stays as it is
observed: merging starts from what is there and changes only what is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from lakeflow_job_meta.engine.rules import FieldRule, Rules, Shape, in_union
from lakeflow_job_meta.model.job import Settings, canonical, mapping
from lakeflow_job_meta.model.plan import MISSING, FieldChange


def merge(desired: Settings, recorded: Settings, observed: Settings, rules: Rules) -> dict[str, Any]:
    """The settings that the job should have.

    >>> from lakeflow_job_meta.engine.rules import load_rules
    >>> merge({"timeout_seconds": 9}, {"description": "ours"}, {"description": "ours", "run_as": {}}, load_rules())
    {'run_as': {}, 'timeout_seconds': 9}
    """
    return _merge_map(desired, recorded, observed, (), rules)


def changes(before: Settings, after: Settings, rules: Rules) -> tuple[FieldChange, ...]:
    """What makes `after` of `before`, field by field, with list entries named by their key.

    >>> from lakeflow_job_meta.engine.rules import load_rules
    >>> changes({"tags": {"a": "1"}}, {"tags": {"a": "2"}}, load_rules())[0].path
    'tags.a'
    """
    return tuple(FieldChange(each.path, each.observed, each.new) for each in three_way({}, after, before, rules))


def three_way(recorded: Settings, after: Settings, observed: Settings, rules: Rules) -> tuple[FieldChange, ...]:
    """What makes `after` of what is observed, field by field, each with what was recorded of it.

    >>> from lakeflow_job_meta.engine.rules import load_rules
    >>> three_way({"timeout_seconds": 1}, {"timeout_seconds": 3}, {"timeout_seconds": 2}, load_rules())
    (FieldChange('timeout_seconds', old=1, new=3, observed=2),)
    """
    return tuple(_changes(recorded, (observed, after), "", (), rules))


def union(left: Settings, right: Settings, rules: Rules) -> Settings:
    """Every field that one of the two settings has; where both have a value, the left one's counts."""
    return cast("Settings", _union(left, right, (), rules))


def _union(left: Any, right: Any, shape: Shape, rules: Rules) -> Any:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        old, new = cast("Settings", left), cast("Settings", right)
        names = (*old, *(name for name in new if name not in old))
        return {name: _union(old.get(name, MISSING), new.get(name, MISSING), (*shape, name), rules) for name in names}
    rule = rules.at(shape)
    if isinstance(left, list) and isinstance(right, list) and rule.list_key is not None:
        old, new = _by_key(left, rule), _by_key(right, rule)
        keys = (*old, *(key for key in new if key not in old))
        return [_union(old.get(key, MISSING), new.get(key, MISSING), (*shape, "*"), rules) for key in keys]
    return cast("Any", right if left is MISSING else left)


def _merge(desired: Any, recorded: Any, observed: Any, shape: Shape, rules: Rules) -> Any:
    rule = rules.at(shape)
    if desired is MISSING or desired is None:
        return _merge_dropped(recorded, observed, shape, rule, rules)
    if isinstance(desired, Mapping):
        fields = cast("Settings", desired)
        merged = _merge_map(fields, mapping(recorded), mapping(observed), shape, rules)
        # The server leaves empty maps out, unless being there is what they say (`continuous: {}`).
        return merged if merged or observed is not MISSING or rule.union_choice else MISSING
    if isinstance(desired, list) and rule.list_key is not None:
        return _merge_list(cast("list[Any]", desired), recorded, observed, shape, rules)
    if rule.write_only and desired == recorded:
        return observed
    if observed is MISSING:
        empty = desired == [] or (rule.has_default and desired == rule.default)
        return MISSING if empty else cast("Any", desired)
    return observed if _equal(desired, observed, rule) else cast("Any", desired)


def _merge_dropped(recorded: Any, observed: Any, shape: Shape, rule: FieldRule, rules: Rules) -> Any:
    if observed is MISSING or rule.always_owned:
        return MISSING
    if recorded is MISSING or recorded is None or rule.irremovable:
        return observed
    if rule.shared_map:
        merged = _merge_map({}, mapping(recorded), mapping(observed), shape, rules)
        return merged or MISSING
    if rule.list_key is not None and not rule.exclusive and isinstance(recorded, list):
        return _merge_list([], recorded, observed, shape, rules) or MISSING
    return MISSING


def _merge_map(desired: Settings, recorded: Settings, observed: Settings, shape: Shape, rules: Rules) -> dict[str, Any]:
    # Several choices of one union all stay: whether they go together is for the service to say.
    decided = [
        union
        for union in rules.at(shape).unions
        if any(in_union(name, union) and value is not None for name, value in desired.items())
    ]
    merged: dict[str, Any] = {}
    for name in (*observed, *(name for name in desired if name not in observed)):
        if desired.get(name) is None and any(in_union(name, union) for union in decided):
            continue
        value = _merge(
            desired.get(name, MISSING), recorded.get(name, MISSING), observed.get(name, MISSING), (*shape, name), rules
        )
        if value is not MISSING:
            merged[name] = value
    return merged


def _merge_list(desired: list[Any], recorded: Any, observed: Any, shape: Shape, rules: Rules) -> list[Any]:
    rule = rules.at(shape)
    wanted, had, there = (_by_key(each, rule) for each in (desired, recorded, observed))
    merged: list[Any] = []
    for key in (*there, *(key for key in wanted if key not in there)):
        if key in wanted:
            value = _merge(wanted[key], had.get(key, MISSING), there.get(key, MISSING), (*shape, "*"), rules)
            merged.append(wanted[key] if value is MISSING else value)
        elif not rule.exclusive and key not in had:
            merged.append(there[key])
    return merged


def _by_key(entries: Any, rule: FieldRule) -> dict[str, Any]:
    if not isinstance(entries, list):
        return {}
    return {entry_key(entry, rule): entry for entry in cast("list[Any]", entries)}


def entry_key(entry: Any, rule: FieldRule) -> str:
    """What tells a list's entry apart: the value of its key field, or the whole entry where it has none."""
    if rule.list_key and isinstance(entry, Mapping) and rule.list_key in entry:
        return str(cast("Settings", entry)[rule.list_key])
    return entry if isinstance(entry, str) else canonical(entry)


def _equal(desired: Any, observed: Any, rule: FieldRule) -> bool:
    if desired == observed:
        return type(desired) is type(observed) or not isinstance(desired, bool | str)
    if rule.drop_prefix and isinstance(desired, str) and isinstance(observed, str):
        return desired.removeprefix(rule.drop_prefix) == observed.removeprefix(rule.drop_prefix)
    return False


def _changes(recorded: Any, values: tuple[Any, Any], path: str, shape: Shape, rules: Rules) -> Iterator[FieldChange]:
    """What makes the second value of the first one."""
    observed, after = values
    if observed is after or observed == after:
        return
    rule = rules.at(shape)
    if rule.list_key is not None and (isinstance(observed, list) or isinstance(after, list)):
        # A whole list that comes or goes is told entry by entry too.
        observed = cast("Any", [] if observed is MISSING else observed)
        after = cast("Any", [] if after is MISSING else after)
    if isinstance(observed, Mapping) and isinstance(after, Mapping):
        had, there, new = mapping(recorded), cast("Settings", observed), cast("Settings", after)
        for name in (*there, *(name for name in new if name not in there)):
            pair = there.get(name, MISSING), new.get(name, MISSING)
            inner = f"{path}.{name}" if path else name
            yield from _changes(had.get(name, MISSING), pair, inner, (*shape, name), rules)
    elif isinstance(observed, list) and isinstance(after, list) and rule.list_key is not None:
        had, there, new = _by_key(recorded, rule), _by_key(observed, rule), _by_key(after, rule)
        for key in (*there, *(key for key in new if key not in there)):
            pair = there.get(key, MISSING), new.get(key, MISSING)
            yield from _changes(had.get(key, MISSING), pair, f"{path}[{key}]", (*shape, "*"), rules)
    else:
        yield FieldChange(path, recorded, after, observed)

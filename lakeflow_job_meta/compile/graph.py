"""What runs after what: execution_order, depends_on, and what can be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from lakeflow_job_meta.compile.findings import Findings, type_name
from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.model.control import Source
from lakeflow_job_meta.model.job import mapping

FIRST_ORDER = 1
"""The execution_order of a source that names none."""

MAX_TASK_KEY = 100
"""Characters; longer keys are refused by the Jobs API."""


def task_key(source_id: str) -> str:
    """The source_id with every character outside [A-Za-z0-9_-] replaced.

    >>> task_key("load orders/v2")
    'load_orders_v2'
    """
    return re.sub(r"[^A-Za-z0-9_-]", "_", source_id)


def task_keys(sources: Sequence[Source], findings: Findings) -> dict[str, str]:
    """source_id → task_key; two sources that would get one key, and keys that are too long, are findings."""
    by_key: dict[str, str] = {}
    for source in sources:
        key = task_key(source.source_id)
        if len(key) > MAX_TASK_KEY:
            findings.add(
                f"source_id has {len(key)} characters, expected at most {MAX_TASK_KEY}",
                source=source.source_id,
                column="source_id",
            )
        if other := by_key.get(key):
            findings.add(
                f"source_id '{source.source_id}' and '{other}' would both become the task '{key}'",
                source=source.source_id,
                column="source_id",
                hint="rename one of them",
            )
        by_key[key] = source.source_id
    return {source_id: key for key, source_id in by_key.items()}


def dependencies(
    sources: Sequence[Source], configs: Mapping[str, Mapping[str, Any]], inactive: set[str], findings: Findings
) -> dict[str, list[dict[str, Any]]]:
    """source_id → the task's `depends_on` in the API's form; active sources only.

    An explicit `depends_on` replaces what execution_order says, and an empty one means: depends on nothing.
    """
    known = {source.source_id: task_key(source.source_id) for source in sources}
    by_order: dict[int, list[str]] = {}
    for source in sources:
        by_order.setdefault(order_of(source), []).append(known[source.source_id])
    orders = sorted(by_order)
    before = {order: by_order[lower] for lower, order in pairwise(orders)}
    result: dict[str, list[dict[str, Any]]] = {}
    for source in sources:
        explicit = configs.get(source.source_id, {}).get("depends_on")
        if explicit is None:
            result[source.source_id] = [{"task_key": key} for key in sorted(before.get(order_of(source), ()))]
        else:
            result[source.source_id] = _explicit(source, explicit, known, inactive, findings)
    _report_cycle(result, known, findings)
    return result


def order_of(source: Source) -> int:
    """The execution_order, or FIRST_ORDER where the row has none."""
    return FIRST_ORDER if source.execution_order is None else source.execution_order


def _explicit(
    source: Source, explicit: object, known: Mapping[str, str], inactive: set[str], findings: Findings
) -> list[dict[str, Any]]:
    def report(message: str, path: tuple[str | int, ...], hint: str = "") -> None:
        findings.add(
            message, source=source.source_id, column="transformation_config", path=("depends_on", *path), hint=hint
        )

    if not isinstance(explicit, list):
        report(f"expected a list of source_ids, found {type_name(explicit)}", ())
        return []
    result: list[dict[str, Any]] = []
    seen: set[str] = set()
    keys = set(known.values())
    for position, entry in enumerate(cast("list[object]", explicit)):
        api_form: Mapping[str, Any] = mapping(entry) or {"task_key": entry}
        name = api_form.get("task_key")
        if not isinstance(name, str):
            report(f"expected a source_id, or {{task_key: …}}, found {type_name(entry)}", (position,))
            continue
        if unknown := set(api_form) - {"task_key", "outcome"}:
            report(f"unknown key '{min(unknown)}'", (position,), hint=nearest(min(unknown), ("task_key", "outcome")))
        key = known.get(name) or (name if name in keys else None)
        if key is None:
            state = "is inactive" if name in inactive else "isn't in this module"
            report(f"depends on '{name}', which {state}", (position,), hint=nearest(name, known))
        elif key in seen:
            report(f"depends on '{name}' twice", (position,))
        else:
            seen.add(key)
            result.append({**api_form, "task_key": key})
    return result


def _report_cycle(result: Mapping[str, list[dict[str, Any]]], known: Mapping[str, str], findings: Findings) -> None:
    """Kahn's algorithm: take away what depends on nothing left, again and again; what stays runs in a circle."""
    left = {known[source]: {entry["task_key"] for entry in entries} for source, entries in result.items()}
    while free := [key for key, needs in left.items() if not needs & left.keys()]:
        for key in free:
            del left[key]
    if not left:
        return
    circle = _walk(left)
    sources = {key: source for source, key in known.items()}
    text = " → ".join(sources[key] for key in [*circle, circle[0]])
    for key in circle:
        findings.add(
            f"depends on itself in a circle: {text}",
            source=sources[key],
            column="transformation_config",
            path=("depends_on",),
        )


def _walk(left: Mapping[str, set[str]]) -> list[str]:
    """One circle among tasks that all need one of the others."""
    path: list[str] = []
    key = min(left)
    while key not in path:
        path.append(key)
        key = min(left[key] & left.keys())
    return path[path.index(key) :]

"""A plan as text and as HTML; both readable without colour. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any

from lakeflow_job_meta.model.plan import MISSING, ActionKind, AnyPlan, Cause, FieldChange, Shown

SIGNS = {
    ActionKind.CREATE: "+", ActionKind.RECREATE: "+", ActionKind.ADOPT: "=", ActionKind.DELETE: "-",
    ActionKind.FORGET: "-", ActionKind.SKIP: " ",
}  # fmt: skip
OTHER_SIGN = "~"
FAILED_SIGN = "!"

VALUE_LENGTH = 160
"""Characters of a value that are shown; the whole of it is in the JSON."""

CAUSES = 5
"""Rows that are named as the causes of one action; all of them are in the JSON."""


def plan_text(plan: AnyPlan[Shown], dim: Callable[[str], str] = str) -> str:
    """The plan as people read it in a terminal; `dim` makes a line stand back, where the terminal can."""
    return "\n".join(_lines(plan, dim))


def summary(plan: AnyPlan[Shown]) -> str:
    """One line: how many of each.

    >>> from lakeflow_job_meta.model.plan import Basis, Plan
    >>> summary(Plan((), Basis("a.b.c", "", 1, "", 1, "", ""), "local", "embedded"))
    'Plan: nothing to do.'
    """
    counts = plan.counts()
    skipped = counts.pop("skip", 0) - len(plan.failed)
    parts = [f"{number} to {kind}" for kind, number in counts.items()]
    parts += [f"{skipped} unchanged"] if skipped else []
    parts += [f"{len(plan.failed)} failed"] if plan.failed else []
    return f"Plan: {', '.join(parts) or 'nothing to do'}."


def sign_of(action: Shown) -> str:
    """One character for what an action does: + - ~ = ! or a space."""
    return FAILED_SIGN if action.failed else SIGNS.get(action.kind, OTHER_SIGN)


def change_text(change: FieldChange) -> str:
    """One field: `~ path: what is there → what will be there`, without secrets; and what was applied, where others put
    something else there since and the rows ask for a third thing.

    >>> change_text(FieldChange("timeout_seconds", 0, 60))
    '~ timeout_seconds: 0 → 60'
    >>> change_text(FieldChange("timeout_seconds", 0, 60, observed=5))
    '~ timeout_seconds: 5 → 60 (0 was applied)'
    """
    safe = change.shown
    shown = [value_text(value) for value in (safe.there, safe.new) if value is not MISSING]
    third = change.old is not MISSING and change.old not in (change.new, change.there)
    return f"{change.sign} {plain(change.path)}: {' → '.join(shown)}" + (
        f" ({value_text(safe.old)} was applied)" if third else ""
    )


def causes_text(causes: Sequence[Cause]) -> str:
    """Which rows it goes back to, those of one change together; empty where none is known.

    >>> causes_text([Cause("control", "bronze", "changed", 42, None, "alice"), Cause("modules", None, "added", 3)])
    'because bronze changed in version 42 by alice; settings row added in version 3'
    """
    parts: list[str] = []
    for _, group in groupby(causes[:CAUSES], key=lambda each: (each.table, each.version, each.change)):
        rows = list(group)
        who = f" by {plain(rows[0].user)}" if rows[0].user else ""
        when = f", {rows[0].timestamp:%Y-%m-%d %H:%M}" if rows[0].timestamp else ""
        names = ", ".join("settings row" if each.source_id is None else plain(each.source_id) for each in rows)
        parts.append(f"{names} {rows[0].change} in version {rows[0].version}{who}{when}")
    more = f", and {len(causes) - CAUSES} more" if len(causes) > CAUSES else ""
    return f"because {'; '.join(parts)}{more}" if parts else ""


def value_text(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}… ({len(text)} characters)"


def title(action: Shown) -> str:
    """The line that heads an action."""
    return f"{sign_of(action)} {plain(action.subject)}: {action.doing} ({plain(action.reason)})"


def plain(text: str) -> str:
    r"""Text on one line, with what a terminal would obey written out.

    >>> plain("a" + chr(27) + "[31m")
    'a\\x1b[31m'
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _lines(plan: AnyPlan[Shown], dim: Callable[[str], str]) -> Iterator[str]:
    yield plan.heading
    for action in plan.actions:
        if action.effective or action.failed or action.reported:
            yield ""
            yield f"  {title(action)}"
            if action.causes:
                yield dim(f"      {causes_text(action.causes)}")
            yield from (f"      {change_text(change)}" for change in action.changes)
            yield from (f"      ? {change_text(change)[2:]} ({plan.reported_as})" for change in action.reported)
    if plan.findings:
        yield ""
        yield "Findings:"
        yield from (f"  {plain(str(each))}" for each in plan.findings)
    yield ""
    yield summary(plan)


def plan_html(plan: AnyPlan[Shown]) -> str:
    """The plan as an HTML table, for notebooks; everything from outside is escaped."""
    rows: list[str] = []
    for action in plan.actions:
        changed = "<br>".join(escape(change_text(change)) for change in action.changes)
        because = f"<br><small>{escape(causes_text(action.causes))}</small>" if action.causes else ""
        cells = [escape(each) for each in (sign_of(action), action.subject, action.doing)]
        cells += [escape(action.reason) + because, changed]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", "what", "action", "reason", "changes"))
    found = "".join(f"<li>{escape(str(each))}</li>" for each in plan.findings)
    return (
        f"<table><caption>{escape(plan.heading)}: {escape(summary(plan))}"
        f"</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        + (f"<ul>{found}</ul>" if found else "")
    )

"""A plan as text and as HTML; both readable without colour. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from lakeflow_job_meta.model.plan import MISSING, Action, ActionKind, FieldChange, Plan

SIGNS = {
    ActionKind.CREATE: "+", ActionKind.RECREATE: "+", ActionKind.ADOPT: "=", ActionKind.DELETE: "-",
    ActionKind.FORGET: "-", ActionKind.SKIP: " ",
}  # fmt: skip
OTHER_SIGN = "~"
FAILED_SIGN = "!"

VALUE_LENGTH = 160
"""Characters of a value that are shown; the whole of it is in the JSON."""


def plan_text(plan: Plan) -> str:
    """The plan as people read it in a terminal."""
    return "\n".join(_lines(plan))


def summary(plan: Plan) -> str:
    """One line: how many of each.

    >>> from lakeflow_job_meta.model.plan import Basis
    >>> summary(Plan((), Basis("a.b.c", "", 1, "", 1, "", ""), "local", "embedded"))
    'Plan: nothing to do.'
    """
    counts = plan.counts()
    skipped = counts.pop("skip", 0) - len(plan.failed)
    parts = [f"{number} to {kind}" for kind, number in counts.items()]
    parts += [f"{skipped} unchanged"] if skipped else []
    parts += [f"{len(plan.failed)} failed"] if plan.failed else []
    return f"Plan: {', '.join(parts) or 'nothing to do'}."


def sign_of(action: Action) -> str:
    """One character for what an action does: + - ~ = ! or a space."""
    return FAILED_SIGN if action.failed else SIGNS.get(action.kind, OTHER_SIGN)


def change_text(change: FieldChange) -> str:
    """One field: `~ path: old → new`.

    >>> change_text(FieldChange("timeout_seconds", 0, 60))
    '~ timeout_seconds: 0 → 60'
    """
    shown = [value_text(value) for value in (change.old, change.new) if value is not MISSING]
    return f"{change.sign} {plain(change.path)}: {' → '.join(shown)}"


def value_text(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}… ({len(text)} characters)"


def title(action: Action) -> str:
    """The line that heads an action."""
    job = f" job {action.job_id}" if action.job_id is not None else ""
    what = "frozen" if action.failed else str(action.kind)
    return f"{sign_of(action)} {plain(action.module)}: {what}{job} ({plain(action.reason)})"


def plain(text: str) -> str:
    """Text on one line, with what a terminal would obey written out.

    >>> plain("a" + chr(27) + "[31m")
    'a\\x1b[31m'
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _lines(plan: Plan) -> Iterator[str]:
    looked = "" if plan.refreshed else ", without a look at the workspace"
    yield f"{plan.basis.control_table} at version {plan.basis.control_version} → {plan.workspace}{looked}"
    for action in plan.actions:
        if action.effective or action.failed or action.reported:
            yield ""
            yield f"  {title(action)}"
            yield from (f"      {change_text(change)}" for change in action.changes)
            yield from (f"      ? {change_text(change)[2:]} (drift, only reported)" for change in action.reported)
    if plan.diagnostics:
        yield ""
        yield "Findings:"
        yield from (f"  {plain(str(each))}" for each in plan.diagnostics)
    yield ""
    yield summary(plan)


def plan_html(plan: Plan) -> str:
    """The plan as an HTML table, for notebooks; everything from outside is escaped."""
    rows: list[str] = []
    for action in plan.actions:
        changed = "<br>".join(escape(change_text(change)) for change in action.changes)
        cells = (sign_of(action), action.module, str(action.kind), str(action.job_id or ""), action.reason)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + f"<td>{changed}</td></tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", "module", "action", "job", "reason", "changes"))
    found = "".join(f"<li>{escape(str(each))}</li>" for each in plan.diagnostics)
    return (
        f"<table><caption>{escape(plan.basis.control_table)} → {escape(plan.workspace)}: {escape(summary(plan))}"
        f"</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        + (f"<ul>{found}</ul>" if found else "")
    )

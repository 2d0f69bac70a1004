"""How values are shown: text always, HTML and pictures where the value has them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, cast

MOST_ROWS = 1000
"""So many rows of a table are shown, as in Databricks."""
_FORMS: tuple[tuple[str, str], ...] = (
    ("_repr_html_", "text/html"),
    ("_repr_markdown_", "text/markdown"),
    ("_repr_svg_", "image/svg+xml"),
    ("_repr_latex_", "text/latex"),
    ("_repr_png_", "image/png"),
)
"""The methods by which values tell their own forms, as Jupyter has them."""


def bundle(value: Any) -> dict[str, Any]:
    """A value in each form that it has.

    >>> bundle(1)
    {'text/plain': '1'}
    """
    found: dict[str, Any] = {"text/plain": repr(value)}
    for method, kind in _FORMS:
        told = _inherited(value, method)
        data = told(value) if told is not None else None
        if data is not None:
            found[kind] = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    if "image/png" not in found and (save := _inherited(value, "savefig")) is not None:
        found["image/png"] = _picture(value, save)
    return found


def displayed(value: Any) -> dict[str, Any]:
    """What `display` shows: tables as tables."""
    columns, rows = table_of(value)
    if columns is None:
        return bundle(value)
    note = "" if len(rows) <= MOST_ROWS else f"\nonly the first {MOST_ROWS} rows are shown"
    rows = rows[:MOST_ROWS]
    return {"text/plain": as_text(columns, rows) + note, "text/html": as_html(columns, rows) + note}


def table_of(value: Any) -> tuple[Sequence[str] | None, Sequence[Sequence[Any]]]:
    """Columns and rows of what is a table: a frame of Spark or of ours, of pandas, a list of rows; else None."""
    if type(value) is list:
        items = cast("list[Any]", value)
        dicts = [cast("dict[str, Any]", each) for each in items if isinstance(each, dict)]
        names = list(dict.fromkeys(name for each in dicts for name in each))
        known = names and len(dicts) == len(items)
        return (names, [[each.get(name) for name in names] for each in dicts]) if known else (None, ())
    if _inherited(value, "collect") is not None and _inherited(value, "limit") is not None:
        return list(value.columns), value.limit(MOST_ROWS + 1).collect()
    if _inherited(value, "itertuples") is not None:
        return [str(each) for each in value.columns], list(islice(value.itertuples(index=False), MOST_ROWS + 1))
    return None, ()


def as_text(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int = 0) -> str:
    """A table as Spark's `show` draws it; longer values are cut to the width, 0 for never.

    >>> print(as_text(["id"], [[1]]))
    +--+
    |id|
    +--+
    | 1|
    +--+
    """
    cells = [[_cut(_text(each), width) for each in row] for row in rows]
    widths = [max([len(name), *(len(row[position]) for row in cells)]) for position, name in enumerate(columns)]
    line = "+" + "+".join("-" * each for each in widths) + "+"
    drawn = ["|" + "|".join(map(str.rjust, row, widths)) + "|" for row in [list(columns), *cells]]
    return "\n".join([line, drawn[0], line, *drawn[1:], line] if cells else [line, drawn[0], line, line])


def as_html(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as HTML."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(_text(each))}</td>" for each in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "NULL" if value is None else str(value)


def _cut(text: str, width: int) -> str:
    if not width or len(text) <= width:
        return text
    return text[:width] if width < 4 else text[: width - 3] + "..."


def _inherited(value: object, method: str) -> Callable[..., Any] | None:
    # Of the class alone: an object that answers to any name hasn't the method for that.
    return next((vars(each)[method] for each in type(value).__mro__ if method in vars(each)), None)


def _picture(value: Any, save: Callable[..., Any]) -> str:
    file = io.BytesIO()
    save(value, file, format="png")
    return base64.b64encode(file.getvalue()).decode()

"""An executed notebook as a page: its cells and what they gave, nothing that runs."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

STYLE = "body{font-family:sans-serif;max-width:60em;margin:2em auto}pre{background:#f4f4f4;padding:.6em;overflow:auto}"


def as_html(notebook: str, title: str) -> str:
    """The page of a notebook in Jupyter's format.

    >>> page = as_html('{"cells": [{"cell_type": "code", "source": "1 < 2", "outputs": []}]}', "n")
    >>> "<pre>1 &lt; 2</pre>" in page
    True
    """
    cells = "\n".join(part for cell in json.loads(notebook)["cells"] for part in _cell(cell))
    name = html.escape(title)
    head = f'<head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head>'
    return f"<!doctype html>\n<html>{head}<body><h1>{name}</h1>\n{cells}\n</body></html>\n"


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    yield _pre(_text(cell.get("source", "")))
    for output in cell.get("outputs", ()):
        text = output.get("text") or output.get("data", {}).get("text/plain") or output.get("traceback") or ""
        if text:
            yield _pre(_text(text, "\n" if "traceback" in output else ""), "output")


def _pre(text: str, kind: str = "") -> str:
    return f"<pre{f' class={kind!r}' if kind else ''}>{html.escape(text)}</pre>"


def _text(value: str | list[str], between: str = "") -> str:
    return value if isinstance(value, str) else between.join(value)

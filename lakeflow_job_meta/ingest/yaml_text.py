"""JSON-like values as YAML that people like to read and that reads back as the very same values.

The library's own writer refuses block text with trailing spaces and writes no text with emoji as a block; SQL has both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from lakeflow_job_meta.reader.compose import STR, plain_tag

STEP = 2
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+(][A-Za-z0-9_./@+()-]*)*")
_OLD_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that YAML 1.1 readers take for something else than text; other tools may read the file too."""
_NOT_IN_BLOCKS = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def mapping_lines(value: Mapping[str, Any], indent: int = 0) -> Iterator[str]:
    r"""The lines of a block mapping.

    >>> print("\n".join(mapping_lines({"a": "yes", "sql": "select 1\nfrom t\n", "l": [1, {"b": None}]})))
    a: "yes"
    sql: |
      select 1
      from t
    l:
      - 1
      - b: null
    """
    for key, each in value.items():
        yield from _entry(f"{' ' * indent}{inline(key)}:", each, indent)


def inline(value: object) -> str:
    """A scalar, or an empty collection, on one line."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and plain_tag(value) == STR and value.lower() not in _OLD_WORDS
        return value if plain else _quoted(value)
    return json.dumps(value)


def _entry(lead: str, value: object, indent: int) -> Iterator[str]:
    inner = indent + STEP
    if isinstance(value, dict) and value:
        yield lead
        yield from mapping_lines(cast("dict[str, Any]", value), inner)
    elif isinstance(value, list) and value:
        yield lead
        yield from _list_lines(cast("list[object]", value), inner)
    elif isinstance(value, str) and _as_block(value):
        yield from _block(lead, value, inner)
    else:
        yield f"{lead} {inline(cast('object', value))}"


def _list_lines(value: Sequence[object], indent: int) -> Iterator[str]:
    lead = f"{' ' * indent}-"
    for each in value:
        if isinstance(each, dict | list) and each:
            inner = indent + STEP
            lines = mapping_lines(each, inner) if isinstance(each, dict) else _list_lines(each, inner)  # pyright: ignore[reportUnknownArgumentType] - JSON values
            yield f"{lead} {next(lines)[inner:]}"
            yield from lines
        else:
            yield from _entry(lead, cast("object", each), indent)


def _as_block(text: str) -> bool:
    return "\n" in text and not text.isspace() and _NOT_IN_BLOCKS.search(text) is None


def _block(lead: str, text: str, indent: int) -> Iterator[str]:
    lines = text.split("\n")
    keep = "-"
    if text.endswith("\n"):
        lines.pop()
        keep = "+" if text.endswith("\n\n") else ""
    # Without the number a reader would take leading spaces of the first line for indentation.
    width = str(STEP) if text[0] in " \t\n" else ""
    yield f"{lead} |{width}{keep}"
    for line in lines:
        yield f"{' ' * indent}{line}" if line else ""


def _quoted(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))

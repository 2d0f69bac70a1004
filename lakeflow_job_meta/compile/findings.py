"""Where the compiler's findings gather: one collector a module, so that a bad row freezes only its own module."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, Path, RowLocation, Severity
from lakeflow_job_meta.model.masking import MASK, is_secret

Report = Callable[..., None]
"""`report(message, path=(…), hint="…")`: one finding at a place within one column."""


@dataclass(slots=True)
class Findings:
    """Collects the findings of one module."""

    table: str
    module: str
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

    @property
    def failed(self) -> bool:
        return any(each.severity is Severity.ERROR for each in self.found)

    def add(
        self,
        message: str,
        *,
        source: str = "",
        column: str = "",
        path: Path = (),
        offset: int | None = None,
        hint: str = "",
    ) -> None:
        """One error."""
        where = RowLocation(self.table, self.module, source, column, path, offset)
        self.found.append(Diagnostic(message, where, hint))

    def at(self, column: str, source: str = "") -> Report:
        """A reporter for one column of one row."""

        def report(message: str, path: Path = (), hint: str = "") -> None:
            self.add(message, source=source, column=column, path=path, hint=hint)

        return report


_NAME = re.compile(r'"([^"]*)"\s*:')

TYPE_NAMES = {
    "dict": "a mapping", "list": "a list", "str": "text", "bool": "a boolean", "int": "an integer",
    "float": "a number", "NoneType": "null",
}  # fmt: skip


MAX_DEPTH = 50
"""Levels of nesting; nothing in the Jobs API needs a third of it."""


class _Doubled(ValueError):
    """A JSON object names one key twice."""


def parse_object(text: str | None, findings: Findings, column: str, source: str = "") -> dict[str, Any] | None:
    """The JSON object in a column; None, with a finding, where it is something else. NULL and blank text are `{}`."""
    if text is None or not text.strip():
        return {}
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        findings.add(
            f"bad JSON: {error.msg}, found {_excerpt(text, error.pos)}", source=source, column=column, offset=error.pos
        )
        return None
    except RecursionError:
        findings.add("bad JSON: nested too deep", source=source, column=column, offset=0)
        return None
    except ValueError as error:
        findings.add(f"bad JSON: {error}", source=source, column=column)
        return None
    if _depth(value) > MAX_DEPTH:
        findings.add(f"bad JSON: nested deeper than {MAX_DEPTH} levels", source=source, column=column)
        return None
    if "\\u" in text and not _is_unicode(value):
        findings.add("bad JSON: half of a surrogate pair is no text", source=source, column=column)
        return None
    if not isinstance(value, dict):
        findings.add(
            f"expected a JSON object, found {type_name(value)}", source=source, column=column, hint='write {"key": …}'
        )
        return None
    return value  # pyright: ignore[reportUnknownVariableType] - JSON objects have text keys


def type_name(value: object) -> str:
    """What people call the type of a JSON value."""
    return TYPE_NAMES.get(type(value).__name__, type(value).__name__)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _Doubled(f"the key '{doubled}' is there twice")
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large a number")
    return number


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(value: object) -> int:
    deepest, layer = 0, [value]
    while layer and deepest <= MAX_DEPTH:
        deepest += 1
        inner: list[object] = []
        for each in layer:
            if isinstance(each, dict):
                inner.extend(cast("dict[str, object]", each).values())
            elif isinstance(each, list):
                inner.extend(cast("list[object]", each))
        layer = inner
    return deepest


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _excerpt(text: str, position: int) -> str:
    rest = text[position : position + 20]
    names = _NAME.findall(text, 0, position)
    if names and is_secret(names[-1]):
        return MASK
    return repr(rest) if rest else "the end of the text"

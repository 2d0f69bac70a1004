"""The parameters of a SQL task: `:x` is bound as it is, `{{x}}`, the older form, is made one that can be bound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PIECE = re.compile(
    r"(?P<string>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")|(?P<name>`(?:[^`]|``)*`)"
    r"|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<marker>\{\{\s*(?P<key>[\w .-]+?)\s*\}\})",
    re.DOTALL,
)
_INSIDE = re.compile(r"\{\{\s*([\w .-]+?)\s*\}\}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Bound:
    """A text without `{{…}}`, and the values of its markers."""

    text: str
    parameters: Mapping[str, Any]


class Unbound(ValueError):
    """Parameters of a text that have no value; the message names them."""


def bound(text: str, given: Mapping[str, str], defaults: Mapping[str, Any]) -> Bound:
    """Bring the parameters of a SQL text into the one form that can be bound.

    Args:
        text: SQL with `:x` and `{{x}}` markers.
        given: the task's parameters, all of them text.
        defaults: those that the saved query declares; one declared as a number makes the given value a number.

    Raises:
        Unbound: a `{{x}}` without a value.

    >>> bound("SELECT {{n}}, '{{day}}', :s", {"n": "3", "day": "it's", "s": "3"}, {})
    Bound(text="SELECT :n, 'it''s', :s", parameters={'n': 3, 'day': "it's", 's': '3'})
    """
    values: dict[str, Any] = dict(defaults)
    for name, value in given.items():
        values[name] = _number(value) if isinstance(defaults.get(name), (int, float)) else value
    missing: list[str] = []

    def value_of(name: str) -> str:
        if name not in values:
            missing.append(name)
            return ""
        return str(values[name])

    def piece(match: re.Match[str]) -> str:
        whole = match[0]
        if match["string"]:
            quote = whole[0]
            return _INSIDE.sub(lambda inner: _escaped(value_of(inner[1]), quote), whole)
        if match["name"]:
            return _INSIDE.sub(lambda inner: value_of(inner[1]).replace("`", "``"), whole)
        if match["comment"]:
            return whole
        name = match["key"]
        text = value_of(name)
        if name not in defaults and name in values:
            values[name] = _number(text)
        return f":{name}" if name.isidentifier() else _literal(values.get(name, ""))

    result = _PIECE.sub(piece, text)
    if missing:
        raise Unbound(f"no value for the parameter {', '.join(f'{{{{{name}}}}}' for name in dict.fromkeys(missing))}")
    return Bound(result, values)


def _number(text: str) -> Any:
    """The number that a text is, or the text."""
    if not _NUMBER.fullmatch(text.strip()):
        return text
    number = float(text)
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, quote * 2)


def _literal(value: Any) -> str:
    """A value whose parameter's name can't be a marker."""
    return f"'{_escaped(value, chr(39))}'" if isinstance(value, str) else repr(value)

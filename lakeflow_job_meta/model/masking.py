"""What isn't for everybody's eyes: values under a name like `password`, and texts that quote them. Pure.

Names tell, not values. What only refers to a secret (`{{secrets/scope/key}}`) is none, and a switch isn't either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

MASK = "(masked)"

SECRET = re.compile(
    r"passw|passphrase|pwd|token|secret|credential|connection[-_. ]?string|\.sas\."
    r"|(access|account|api|auth|encryption|primary|private|shared|signing|storage)[-_. ]?key",
    re.IGNORECASE,
)
REFERENCE = re.compile(r"\{\{[^{}]+\}\}")
SWITCHES = ("", "true", "false")

ENTRY = re.compile(r"(?:^|\.)parameters\[(.*)\]")
"""A path through an entry of a list whose entries have names that people choose."""
NAMED = ({"name", "default"}, {"name", "value"}, {"key", "value"})
VALUES = ("default", "value")
"""Such an entry: a name, and what stands under it."""

WHOLE_WORD = 8
"""Secrets of fewer characters are masked in a text only where they stand alone: others are part of innocent words."""

Leaf = Callable[[Any], Any]


def is_secret(name: str) -> bool:
    """Whether what stands under this name, or dotted path of names, is kept from people.

    >>> is_secret("spark.hadoop.fs.azure.account.key.x"), is_secret("job_cluster_key")
    (True, False)
    """
    return SECRET.search(name) is not None


def masked(value: Any, name: str = "") -> Any:
    """The value as it may be shown.

    >>> masked({"user": "bo", "password": "x", "db_token": "{{secrets/a/b}}"})
    {'user': 'bo', 'password': '(masked)', 'db_token': '{{secrets/a/b}}'}
    """
    return _walk(value, is_secret(name), _hide)


def masked_at(value: Any, path: str) -> Any:
    """The value of one field of a job as it may be shown; the path is that of a change, `tasks[load].spark_conf.x`.

    >>> masked_at("x", "tasks[load].new_cluster.spark_conf.db.password"), masked_at(60, "tasks[token].timeout_seconds")
    ('(masked)', 60)
    """
    entry, rest = ENTRY.search(path), path.rpartition("]")[2]
    # A whole entry tells its name itself.
    return masked(value, f"{entry[1]} {rest}" if entry and rest else rest)


def secrets_in(*values: Any) -> frozenset[str]:
    """The texts in these values that must not be shown."""
    found: set[str] = set()

    def note(leaf: Any) -> Any:
        if _hide(leaf) == MASK:
            found.add(str(leaf))
        return leaf

    for value in values:
        _walk(value, False, note)
    return frozenset(found)


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with these secrets masked, also where they are quoted as JSON.

    >>> without("bad value 'hunter2'", {"hunter2"})
    "bad value '(masked)'"
    """
    spellings = {each for secret in secrets for each in (secret, _quoted(secret, False), _quoted(secret, True))}
    for spelling in sorted(spellings, key=len, reverse=True):
        edge = r"(?<!\w){}(?!\w)" if len(spelling) < WHOLE_WORD else "{}"
        text = re.sub(edge.format(re.escape(spelling)), MASK, text)
    return text


def _quoted(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _walk(value: Any, secret: bool, leaf: Leaf) -> Any:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        beside = VALUES if _is_secret_entry(fields) else ()
        return {
            name: _walk(each, secret or name in beside or is_secret(str(name)), leaf) for name, each in fields.items()
        }
    if isinstance(value, list):
        entries = cast("list[Any]", value)
        if secret or not all(isinstance(each, str) for each in entries):
            return [_walk(each, secret, leaf) for each in entries]
        return _arguments(entries, leaf)
    return leaf(value) if secret else value


def _is_secret_entry(fields: Mapping[str, Any]) -> bool:
    return set(fields) in NAMED and is_secret(str(fields.get("name", fields.get("key"))))


def _arguments(arguments: list[str], leaf: Leaf) -> list[Any]:
    """Arguments of a command: `--password x`, `--password=x`, `password=x`."""
    shown: list[Any] = []
    flag = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and is_secret(name):
            shown.append(f"{name}={leaf(value)}")
        else:
            shown.append(leaf(argument) if flag and not argument.startswith("-") else argument)
        flag = argument if argument.startswith("-") and not equals and is_secret(argument) else ""
    return shown


def _hide(leaf: Any) -> Any:
    if leaf is None or isinstance(leaf, bool):
        return leaf
    text = str(leaf)
    return leaf if text.casefold() in SWITCHES or REFERENCE.fullmatch(text) else MASK

"""What records look like: their fields and JSON types, and what of it changed since the run before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Shape = Mapping[str, str]
"""Fields, each with the JSON types that its values had: `int`, `float|int`; empty where all were null."""

MOST_TOLD = 3
"""So many changes of one endpoint are told each by itself."""


def shape(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The fields of records, and the JSON types that their values have.

    >>> shape([{"id": 1, "name": None}, {"id": 2, "name": "x"}])
    {'id': 'int', 'name': 'str'}
    """
    found: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.items():
            found.setdefault(name, set()).update(() if value is None else (type(value).__name__,))
    return {name: "|".join(sorted(types)) for name, types in sorted(found.items())}


def differences(before: Shape, now: Shape) -> list[str]:
    """What changed, as people say it.

    Null tells nothing of a type, a whole number is a number, and fewer kinds of values than before are nothing new.

    >>> differences({"id": "int", "at": "str", "note": ""}, {"id": "str", "note": "str", "key": "str"})
    ["the field 'at' is gone", "'id' was int, and is str now", "the field 'key' is new"]
    """
    told = [f"the field '{name}' is gone" for name in before if name not in now]
    for name, types in now.items():
        if name not in before:
            told.append(f"the field '{name}' is new")
        elif before[name] and _kinds(types) - _kinds(before[name]):
            told.append(f"'{name}' was {before[name]}, and is {types} now")
    return told


def merged(before: Shape, now: Shape) -> dict[str, str]:
    """What is known after this look: null, or fewer kinds of values than before, take nothing away.

    >>> merged({"weight": "float", "note": "str", "gone": "int"}, {"weight": "int", "note": "", "id": "int"})
    {'weight': 'float', 'note': 'str', 'id': 'int'}
    """
    return {
        name: before[name] if name in before and _kinds(types) <= _kinds(before[name]) else types
        for name, types in now.items()
    }


def changes(before: Mapping[str, Shape], now: Mapping[str, Shape]) -> list[str]:
    """What changed of each endpoint that both runs know, a line each."""
    told: list[str] = []
    for name, known in now.items():
        found = differences(before[name], known) if name in before else []
        if found:
            more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
            told.append(f"{name}: {'; '.join(found[:MOST_TOLD])}{more}")
    return told


def _kinds(types: str) -> set[str]:
    kinds = set(types.split("|")) - {""}
    return kinds | {"int"} if "float" in kinds else kinds

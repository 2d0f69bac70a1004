"""What a task's process tells of itself, through files in its folder: one that was killed has told all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

RESULT = "result.json"
VALUES = "values.jsonl"
SECRETS = "secrets.jsonl"
NESTED = "notebook_run_"
"""So the folders begin that notebooks run others in."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the process told before it ended; empty where it hadn't come to it."""

    output: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""
    error_trace: str = ""
    rows_written: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_told(folder: Path) -> Told:
    """What the process that ran in this folder told."""
    values: dict[str, Any] = {}
    for line in _text(folder / VALUES).splitlines():
        values |= _mapping(line)
    result = _mapping(_text(folder / RESULT))
    return Told(
        _mapping(result.get("output")), str(result.get("error", "")), str(result.get("error_trace", "")),
        result.get("rows_written"), values,
    )  # fmt: skip


def secrets_read(folder: Path) -> Iterator[tuple[str, str]]:
    """Scope and key of each secret that the process has read, and those that it ran as notebooks."""
    for line in _text(folder / SECRETS).splitlines():
        scope, key = json.loads(line)
        yield scope, key
    for nested in folder.glob(f"{NESTED}*"):
        yield from secrets_read(nested)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _mapping(data: object) -> dict[str, Any]:
    """A JSON object, from text or read already; empty for what isn't one, such as a line cut short by a kill."""
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}

"""Fields of a positioned file, each checked as it is taken; what is wrong gathers with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.compile.findings import type_name
from lakeflow_job_meta.diagnostics import Diagnostic, nearest
from lakeflow_job_meta.diagnostics import Path as ValuePath
from lakeflow_job_meta.reader.document import Document


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with one file."""

    document: Document
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def add(self, message: str, path: ValuePath, hint: str = "", *, key: bool = False) -> None:
        self.found.append(Diagnostic(message, self.document.position(path, key=key), hint))


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping of the file, and where it stands."""

    values: Mapping[str, Any]
    path: ValuePath
    findings: Findings

    @classmethod
    def of(cls, value: object, path: ValuePath, known: Sequence[str], findings: Findings) -> Fields:
        """The mapping at a path; an empty one, with a finding, where something else stands there."""
        if not isinstance(value, dict):
            findings.add(f"expected a mapping with {', '.join(known)}, found {type_name(value)}", path)
            return cls({}, path, findings)
        values = cast("dict[str, Any]", value)
        for key in values:
            if key not in known:
                findings.add(f"unknown key '{key}'", (*path, key), nearest(key, known) or _all(known), key=True)
        return cls(values, path, findings)

    def inner(self, name: str, known: Sequence[str]) -> Fields:
        """The mapping under a key; an empty one where the key is left out."""
        value = self.values.get(name)
        return self.of({} if value is None else value, (*self.path, name), known, self.findings)

    def find(self, message: str, name: str = "", hint: str = "") -> None:
        """Something is wrong with the value of a key, or with the whole."""
        self.findings.add(message, (*self.path, name) if name else self.path, hint)

    def text(self, name: str, default: str | None = "", *, choices: Sequence[str] = ()) -> str:
        """The text under a key; None as default says that it must be there."""
        value = self.values.get(name)
        if value is None:
            if default is None:
                self.find(f"missing key '{name}'", hint=_all(choices) if choices else "")
            return default or ""
        if not isinstance(value, str) or not value.strip():
            self.find(f"{name}: expected text, found {type_name(value) if value != '' else 'nothing'}", name)
            return default or ""
        if choices and value not in choices:
            self.find(f"{name}: unknown value '{value}'", name, nearest(value, choices) or _all(choices))
            return default or choices[0]
        return value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """The number under a key, within its range."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self.find(f"{name}: expected a number from {least:g} to {most:g}, found {value!r}", name)
            return default
        return float(value)

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """The whole number under a key, within its range."""
        value = self.values.get(name, default)
        if isinstance(value, float) and not value.is_integer():
            self.find(f"{name}: expected a whole number, found {value!r}", name)
            return default
        return int(self.number(name, default, least, most))

    def flag(self, name: str, default: bool) -> bool:
        """The truth value under a key."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            self.find(f"{name}: expected true or false, found {type_name(value)}", name)
        return value if isinstance(value, bool) else default

    def texts(self, name: str, *, choices: Sequence[str] = ()) -> tuple[str, ...]:
        """The list of texts under a key."""
        found: list[str] = []
        for position, each in enumerate(self.items(name)):
            if not isinstance(each, str):
                self.findings.add(f"expected text, found {type_name(each)}", (*self.path, name, position))
            elif choices and each not in choices:
                self.findings.add(f"unknown value '{each}'", (*self.path, name, position), _all(choices))
            else:
                found.append(each)
        return tuple(found)

    def items(self, name: str) -> list[Any]:
        """The list under a key; empty where it is left out, or is none."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, list):
            self.find(f"{name}: expected a list, found {type_name(value)}", name)
        return cast("list[Any]", value) if isinstance(value, list) else []


def _all(known: Sequence[str]) -> str:
    return "known: " + ", ".join(known)

"""Reading mappings of known keys from a document, every finding with its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, Path, dotted, nearest
from lakeflow_job_meta.model.schema_file import IDENTIFIER
from lakeflow_job_meta.reader.document import Document

KINDS: Mapping[type, str] = {str: "text", bool: "true or false", list: "a list", dict: "a mapping"}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a document has where something is expected, and what is wrong with it."""

    document: Document
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def mapping(self, value: Any, path: Path, known: Collection[str]) -> dict[str, Any]:
        """The mapping at a path, without what isn't known."""
        if not isinstance(value, dict):
            what = f"{dotted(path)}: " if path else ""
            self.find(f"{what}expected a mapping ({', '.join(known)})", path)
            return {}
        given = cast("dict[str, Any]", value)
        for key in given.keys() - set(known):
            hint = nearest(key, known) or "known: " + ", ".join(known)
            self.find(f"unknown key '{key}'", (*path, key), hint, key=True)
        return {key: each for key, each in given.items() if key in known}

    def value(self, given: Mapping[str, Any], path: Path, key: str, kind: type, default: Any) -> Any:
        """The value of a key, of a kind of KINDS."""
        value = given.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            self.find(f"{key} is {value!r}, expected {KINDS[kind]}", (*path, key))
            return default
        return value

    def name(self, given: Mapping[str, Any], path: Path, key: str, default: str = "") -> str:
        """The identifier that a key has; without a default it must be there."""
        value = self.value(given, path, key, str, default)
        if not value:
            self.find(f"{key} is missing", path)
        elif not IDENTIFIER.fullmatch(value):
            self.find(f"{key} '{value}' is not an identifier", (*path, key), "letters, digits and underscores")
        return str(value).lower()

    def find(self, message: str, path: Path, hint: str = "", *, key: bool = False) -> None:
        """Remember what is wrong with the value at a path, or (`key`) with its key."""
        self.found.append(Diagnostic(message, self.document.position(path, key=key), hint))

"""The rules of fields, read once from `rules.yml`, and quick answers by the shape of a path.

The shape of a path has `*` in place of the keys of list entries and of names that a rule leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, cast

Shape = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """All that the rules say of one place in a job's settings."""

    list_key: str | None = None
    exclusive: bool = False
    always_owned: bool = False
    shared_map: bool = False
    unions: tuple[tuple[str, ...], ...] = ()
    union_choice: bool = False
    has_default: bool = False
    default: Any = None
    drop_prefix: str = ""
    irremovable: bool = False
    write_only: bool = False


@dataclass(frozen=True)
class Rules:
    """The rules as they stand in the file; `at` answers for a shape and remembers."""

    data: Mapping[str, Mapping[str, Any]]

    @cached_property
    def not_in_lists(self) -> tuple[str, ...]:
        """Top-level fields that a list of jobs leaves out."""
        return tuple(self.data["not_in_lists"])

    @cached_property
    def _answers(self) -> dict[Shape, FieldRule]:
        return {}

    def at(self, shape: Shape) -> FieldRule:
        """What the rules say of this place."""
        answer = self._answers.get(shape)
        if answer is None:
            answer = self._answers[shape] = self._look_up(shape)
        return answer

    def _look_up(self, shape: Shape) -> FieldRule:
        shape = self._stands_for(shape)
        keyed = self._match("keyed_lists", shape)
        default = self._match("defaults", shape)
        spelling = self._match("equal_spellings", shape)
        parents = self._unions(shape[:-1]) if shape else ()
        return FieldRule(
            list_key=keyed["key"] if keyed else None,
            exclusive=bool(keyed and keyed["exclusive"]),
            always_owned=self._match("always_owned", shape) is not None,
            shared_map=self._match("shared_maps", shape) is not None,
            unions=self._unions(shape),
            union_choice=any(in_union(shape[-1], union) for union in parents),
            has_default=default is not None,
            default=default["value"] if default else None,
            drop_prefix=str(spelling["drop_prefix"]) if spelling else "",
            write_only=self._match("write_only", shape) is not None,
            irremovable=self._match("irremovable", shape) is not None,
        )

    def _stands_for(self, shape: Shape) -> Shape:
        """The shape whose rules hold for this one."""
        for pattern, same in self.data["same_as"].items():
            length = len(pattern.split("."))
            if _fits(pattern, shape[:length]):
                return (*same["place"].split("."), *shape[length:])
        return shape

    def _unions(self, shape: Shape) -> tuple[tuple[str, ...], ...]:
        found = [self._match(section, shape) for section in ("unions", "compute_unions")]
        return tuple(tuple(union["one_of"]) for union in found if union)

    def _match(self, section: str, shape: Shape) -> Any:
        for pattern, rule in self.data[section].items():
            if _fits(pattern, shape):
                return rule
        return None


def _fits(pattern: str, shape: Shape) -> bool:
    parts = pattern.split(".") if pattern else []
    return len(parts) == len(shape) and all(part in ("*", name) for part, name in zip(parts, shape, strict=True))


@cache
def load_rules() -> Rules:
    """The rules that ship with the package."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (resources.files("lakeflow_job_meta.engine") / "rules.yml").read_text("utf-8")
    return Rules(cast("Mapping[str, Mapping[str, Any]]", yaml.load(text, Loader=loader)))  # noqa: S506 - a safe loader


def in_union(name: str, union: tuple[str, ...]) -> bool:
    """Whether a field is one of a union's choices; a choice may start with `*`.

    >>> in_union("notebook_task", ("*_task",))
    True
    """
    return any(name.endswith(choice[1:]) if choice.startswith("*") else name == choice for choice in union)

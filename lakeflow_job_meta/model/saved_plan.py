"""A plan as a file: what was asked for and what came out, so that exactly that can be applied later. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from lakeflow_job_meta.errors import ConflictError, InputError
from lakeflow_job_meta.model.job import fingerprint
from lakeflow_job_meta.model.plan import Action, FieldChange, Plan

FORMAT = "lakeflow_job_meta plan"
VERSION = 1

ARGUMENTS = ("control_table", "workspace", "default_warehouse_id", "cluster_id")
"""The settings that a plan is made with, by name. Where the embedded tables live may differ from host to host."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What was asked for, and a fingerprint of what each module's part was decided on.

    `arguments` are settings by name, `context` is a fingerprint of what all modules share, `modules` has one each.
    """

    select: tuple[str, ...] | None
    refresh: bool
    prune: bool
    arguments: Mapping[str, str | None]
    context: str
    modules: Mapping[str, str]

    @classmethod
    def of(
        cls,
        plan: Plan,
        arguments: Mapping[str, str | None],
        *,
        select: Sequence[str] | None = None,
        prune: bool = False,
    ) -> SavedPlan:
        """A plan with what it was made from.

        Args:
            plan: as it was made.
            arguments: the settings of ARGUMENTS.
            select, prune: as the plan was asked for.
        """
        return cls(
            None if select is None else tuple(select),
            plan.refreshed,
            prune,
            {name: arguments[name] for name in ARGUMENTS},
            _context(plan),
            {action.module: _digest(action) for action in plan.actions},
        )

    def check(self, plan: Plan) -> None:
        """Refuse a plan that isn't the saved one.

        Raises:
            ConflictError: rows, recorded state or jobs moved since; names the modules.
        """
        now = {action.module: _digest(action) for action in plan.actions}
        moved = sorted(name for name in self.modules.keys() | now.keys() if self.modules.get(name) != now.get(name))
        if moved:
            raise ConflictError(
                f"the saved plan is stale: rows, recorded state or jobs changed since, of module {', '.join(moved)}",
                hint="plan again",
            )
        if self.context != _context(plan):
            raise ConflictError(
                "the saved plan is of another table, another workspace, or another drift policy", hint="plan again"
            )

    def to_json(self, plan: Plan) -> str:
        """The file's text; the plan itself is in it for people and programs to read."""
        said = {"format": FORMAT, "version": VERSION, **asdict(self), "plan": plan.to_dict()}
        return json.dumps(said, indent=2, ensure_ascii=False, default=str)

    @classmethod
    def from_json(cls, text: str, name: str) -> SavedPlan:
        """The saved plan in a file's text; `name` is the file's, for findings.

        Raises:
            InputError: that isn't a saved plan, or one of another version of the format.
        """
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or cast("dict[str, Any]", value).get("format") != FORMAT:
            raise InputError(f"{name} isn't a saved plan", hint="`ljm plan --out FILE` writes one")
        said = cast("dict[str, Any]", value)
        if said.get("version") != VERSION:
            raise InputError(
                f"{name} has version {said.get('version')} of the format, this program reads {VERSION}",
                hint="plan again with the program that applies it",
            )
        if damaged := sorted(field for field, fits in FIELDS.items() if not fits(said.get(field))):
            raise InputError(f"{name} is a damaged plan: {', '.join(damaged)} can't be used", hint="plan again")
        select = said["select"]
        return cls(
            None if select is None else tuple(select),
            said["refresh"],
            said["prune"],
            said["arguments"],
            said["context"],
            said["modules"],
        )


def _is_select(value: object) -> bool:
    return value is None or (isinstance(value, list) and _all_text(cast("list[object]", value)))


def _is_arguments(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    said = cast("dict[str, object]", value)
    given = [each for each in said.values() if each is not None]
    return set(said) == set(ARGUMENTS) and _all_text(given) and isinstance(said["control_table"], str)


def _is_modules(value: object) -> bool:
    return isinstance(value, dict) and _all_text(list(cast("dict[str, object]", value).values()))


def _all_text(values: Sequence[object]) -> bool:
    return all(isinstance(each, str) for each in values)


FIELDS: Mapping[str, Callable[[object], bool]] = {
    "select": _is_select,
    "refresh": lambda value: isinstance(value, bool),
    "prune": lambda value: isinstance(value, bool),
    "arguments": _is_arguments,
    "context": lambda value: isinstance(value, str),
    "modules": _is_modules,
}
"""What a saved plan has, and how to tell that a value fits."""


def _context(plan: Plan) -> str:
    return fingerprint([plan.basis.control_table, plan.basis.workspace_id, plan.basis.owner, dict(plan.drift)])


def _digest(action: Action) -> str:
    """Changes whenever the action, or what it was decided on, does."""
    desired = action.desired
    said = action.to_dict()
    # Who changed a row is no part of what is to be done, and how much the tables tell of it may change.
    del said["causes"]
    basis = {
        "action": {**said, "changes": _raw(action.changes), "reported": _raw(action.reported)},
        "desired": None if desired is None else [desired.fingerprint, asdict(desired.lifecycle)],
        "recorded": None if action.recorded is None else asdict(action.recorded),
    }
    # Timestamps of the state aren't JSON: as text they tell states apart as well.
    return fingerprint(json.loads(json.dumps(basis, default=str)))


def _raw(changes: Sequence[FieldChange]) -> list[dict[str, Any]]:
    """Changes with what isn't shown: two secrets are two plans."""
    return [change.to_dict() for change in changes]

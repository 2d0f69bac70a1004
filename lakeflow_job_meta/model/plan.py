"""A plan as data: what is to be done to which job, field by field, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.model.job import DesiredJob, RecordedJob
from lakeflow_job_meta.model.masking import masked_at


class ActionKind(StrEnum):
    """What can be done to one module's job."""

    CREATE = "create"
    UPDATE = "update"
    PAUSE = "pause"
    RESUME = "resume"
    MOVE = "move"
    ADOPT = "adopt"
    RECREATE = "recreate"
    DELETE = "delete"
    FORGET = "forget"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class _Mark:
    """Stands for a value that isn't there, which null doesn't."""

    name: str

    def __repr__(self) -> str:
        return self.name


MISSING: Any = _Mark("MISSING")
UNSEEN: Any = _Mark("UNSEEN")
NO_VALUE = (MISSING, UNSEEN)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a job: what it was when last applied, what it will be, what the workspace holds now.

    MISSING stands for absent, UNSEEN for a workspace that wasn't looked at.
    """

    path: str
    old: Any = MISSING
    new: Any = MISSING
    observed: Any = UNSEEN

    @property
    def there(self) -> Any:
        """What is going to be replaced, as far as it is known."""
        return self.old if self.observed is UNSEEN else self.observed

    @property
    def sign(self) -> str:
        """`+` added, `-` removed, `~` changed."""
        return "+" if self.there is MISSING else "-" if self.new is MISSING else "~"

    @property
    def removes_task(self) -> bool:
        return self.new is MISSING and self.path.startswith("tasks[") and self.path.find("]") == len(self.path) - 1

    @property
    def shown(self) -> FieldChange:
        """The change as it may be shown: without secrets. It is listed, so the two values differ, masked or not."""
        values = (self.old, self.new, self.observed)
        old, new, observed = (value if value in NO_VALUE else masked_at(value, self.path) for value in values)
        return replace(self, old=old, new=new, observed=observed)

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON-ready values, secrets and all."""
        known = {"old": self.old, "new": self.new, "observed": self.observed}
        return {"path": self.path, **{key: value for key, value in known.items() if value not in NO_VALUE}}

    def __repr__(self) -> str:
        shown = self.shown
        return f"FieldChange({shown.path!r}, old={shown.old!r}, new={shown.new!r}, observed={shown.observed!r})"


@dataclass(frozen=True, slots=True)
class Cause:
    """A row that changed since the module was last applied; the newest change of it counts.

    `table` is `control` or `modules`, `source_id` is None for a module's own row, `change` is added, changed or
    removed. `version` is the table's; who made it and when is empty and None where the history doesn't tell.
    """

    table: str
    source_id: str | None
    change: str
    version: int
    timestamp: datetime | None = None
    user: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The cause as JSON-ready values."""
        return {
            "table": self.table,
            "source_id": self.source_id,
            "change": self.change,
            "version": self.version,
            "timestamp": self.timestamp.isoformat() if self.timestamp else None,
            "user": self.user or None,
        }


DRIFT = "drift: changed in the workspace"
"""The reason of an action that does nothing but put drift right."""


@dataclass(frozen=True, slots=True)
class AnyAction:
    """What is to be done to one thing, and why."""

    kind: ActionKind
    subject: str
    reason: str

    @property
    def effective(self) -> bool:
        """Whether applying it does anything."""
        return self.kind is not ActionKind.SKIP


@dataclass(frozen=True, slots=True)
class Action(AnyAction):
    """One module's part of a plan.

    `failed` marks a module that can't go on by itself (frozen by bad rows, a job that isn't ours any more): it is
    skipped, and the reason says why. `reported` is drift that is told but stays, `drifted` are paths of `changes` that
    others changed in the workspace. `causes` are the rows that it goes back to, as far as the tables tell. `desired`
    and `recorded` are what it was decided on.
    """

    job_id: int | None = None
    job_name: str = ""
    changes: tuple[FieldChange, ...] = ()
    sources: tuple[str, ...] = ()
    failed: bool = False
    reported: tuple[FieldChange, ...] = ()
    drifted: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    desired: DesiredJob | None = field(default=None, repr=False)
    recorded: RecordedJob | None = field(default=None, repr=False)

    @property
    def module(self) -> str:
        return self.subject

    @property
    def doing(self) -> str:
        """What people are told is done to it."""
        job = f" job {self.job_id}" if self.job_id is not None else ""
        return f"{'frozen' if self.failed else self.kind}{job}"

    def to_dict(self) -> dict[str, Any]:
        """The action as JSON-ready values, without what it was decided on, and without secrets."""
        return {
            "action": str(self.kind),
            "module": self.module,
            "job_id": self.job_id,
            "job_name": self.job_name,
            "reason": self.reason,
            "failed": self.failed,
            "sources": list(self.sources),
            "changes": [change.shown.to_dict() for change in self.changes],
            "reported": [change.shown.to_dict() for change in self.reported],
            "causes": [cause.to_dict() for cause in self.causes],
        }

    @property
    def asked_by_rows(self) -> bool:
        """Whether rows changed what is wanted: it isn't drift alone, a retry, or a person's wish."""
        desired, recorded = self.desired, self.recorded
        if self.kind is ActionKind.UPDATE:
            return desired is not None and recorded is not None and desired.fingerprint != recorded.fingerprint
        if self.kind is ActionKind.PAUSE:
            return recorded is not None and recorded.status not in ("paused", "inactive")
        if self.kind is ActionKind.DELETE:
            return desired is None or not desired.active
        return self.kind in (ActionKind.CREATE, ActionKind.MOVE, ActionKind.RESUME)

    @property
    def drift(self) -> tuple[str, ...]:
        """Paths of the fields that differ in the workspace from what was recorded; `job_id` where the job is gone."""
        if self.kind is ActionKind.RECREATE:
            return ("job_id",)
        return self.drifted + tuple(change.path for change in self.reported)

    @property
    def only_drift(self) -> Action:
        """The same, without what the rows ask for."""
        if self.failed or self.kind is ActionKind.RECREATE:
            return self
        strayed = tuple(change for change in self.changes if change.path in self.drifted)
        if strayed:
            return replace(self, reason=DRIFT, changes=strayed, causes=())
        return replace(self, kind=ActionKind.SKIP, changes=(), causes=())

    @property
    def disruptions(self) -> int:
        """How much it takes away: a job deleted, paused or made again counts one, and so does each task removed."""
        if self.kind in (ActionKind.DELETE, ActionKind.PAUSE, ActionKind.RECREATE):
            return 1
        return sum(change.removes_task for change in self.changes)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan was made from: equal bases lead to equal plans, but for drift."""

    control_table: str
    control_id: str
    control_version: int
    modules_id: str
    modules_version: int
    workspace_id: str
    owner: str


class Shown(Protocol):
    """An action as far as it is printed."""

    @property
    def kind(self) -> ActionKind: ...
    @property
    def subject(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def doing(self) -> str: ...
    @property
    def effective(self) -> bool: ...
    @property
    def failed(self) -> bool: ...
    @property
    def changes(self) -> Sequence[FieldChange]: ...
    @property
    def reported(self) -> Sequence[FieldChange]: ...
    @property
    def causes(self) -> Sequence[Cause]: ...
    def to_dict(self) -> dict[str, Any]: ...


Some = TypeVar("Some", bound=Shown, covariant=True)


@dataclass(frozen=True, slots=True)
class AnyPlan(Generic[Some]):
    """All actions of a plan, whatever they are about: printed, saved and asked about in one way."""

    actions: tuple[Some, ...]

    @property
    def heading(self) -> str:
        """The line that a plan's text begins with: from what to where."""
        raise NotImplementedError

    @property
    def findings(self) -> Sequence[Diagnostic]:
        """What else is told with the plan."""
        return ()

    @property
    def reported_as(self) -> str:
        """Why what is reported isn't changed."""
        return "drift, only reported"

    @property
    def effective(self) -> tuple[Some, ...]:
        """Those actions that do something."""
        return tuple(action for action in self.actions if action.effective)

    @property
    def failed(self) -> tuple[Some, ...]:
        """Those that can't go on by themselves."""
        return tuple(action for action in self.actions if action.failed)

    @property
    def empty(self) -> bool:
        return not self.effective

    def counts(self) -> dict[str, int]:
        """How many actions of each kind, `skip` included; kinds without any are left out."""
        counts: dict[str, int] = {}
        for kind in ActionKind:
            if number := sum(action.kind is kind for action in self.actions):
                counts[str(kind)] = number
        return counts

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return {"summary": self.counts(), "actions": [action.to_dict() for action in self.actions]}

    def to_json(self) -> str:
        """The plan as indented JSON text."""
        import json

        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, default=str)

    def __str__(self) -> str:
        from lakeflow_job_meta.model.plan_text import plan_text

        return plan_text(self)

    def _repr_html_(self) -> str:
        from lakeflow_job_meta.model.plan_text import plan_html

        return plan_html(self)


@dataclass(frozen=True, slots=True)
class Plan(AnyPlan[Action]):
    """All actions, in the order of module names, with the findings and the versions that it was made from.

    `refreshed` tells whether the workspace was looked at; `lost_queries` and `edited_queries` are ids of saved
    queries that are gone, and of those that somebody edited,
    `drift` is the policy by field path that it was made with. `mark` is what will be reconciled completely once every
    action has succeeded; None for a plan of selected or failing modules.
    """

    basis: Basis
    workspace: str
    store: str
    diagnostics: tuple[Diagnostic, ...] = ()
    refreshed: bool = True
    lost_queries: frozenset[str] = frozenset()
    edited_queries: frozenset[str] = frozenset()
    drift: Mapping[str, str] = field(default_factory=dict[str, str])
    mark: Mapping[str, Any] | None = None

    @property
    def heading(self) -> str:
        looked = "" if self.refreshed else ", without a look at the workspace"
        return f"{self.basis.control_table} at version {self.basis.control_version} → {self.workspace}{looked}"

    @property
    def findings(self) -> Sequence[Diagnostic]:
        return self.diagnostics

    def without(self, modules: Collection[str]) -> Plan:
        """The same plan, but for these modules."""
        return replace(self, actions=tuple(action for action in self.actions if action.module not in modules))

    @property
    def only_drift(self) -> Plan:
        """The same plan, without what the rows ask for. What can't go on stays in it: its drift isn't known."""
        actions = (action.only_drift for action in self.actions if action.drift or action.failed)
        return replace(self, actions=tuple(actions))

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return {
            "control_table": self.basis.control_table,
            "control_version": self.basis.control_version,
            "workspace": self.workspace,
            "workspace_id": self.basis.workspace_id,
            "store": self.store,
            "refreshed": self.refreshed,
            "summary": self.counts(),
            "actions": [action.to_dict() for action in self.actions],
            "diagnostics": [each.to_dict() for each in self.diagnostics],
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a plan as a whole: how many actions are done, failed, and not begun; how long it took."""

    done: int
    failed: int
    left: int
    duration_ms: int

    def __str__(self) -> str:
        counts = {"done": self.done, "failed": self.failed, "not begun": self.left}
        return ", ".join(f"{number} {what}" for what, number in counts.items() if number)


class AnyOutcome(Protocol):
    """What became of an action, as far as it is told while others go on."""

    @property
    def action(self) -> AnyAction: ...
    @property
    def done(self) -> bool: ...
    @property
    def error(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one action; `fingerprint` is that of what is recorded now."""

    action: Action
    done: bool
    job_id: int | None = None
    error: str = ""
    duration_ms: int = 0
    fingerprint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values."""
        return {
            "module": self.action.module,
            "action": str(self.action.kind),
            "job_id": self.job_id,
            "done": self.done,
            "error": self.error or None,
            "duration_ms": self.duration_ms,
        }

"""A plan for the tables of a dataset: what is to be done to which table, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.model.plan import AnyAction, AnyPlan, Cause, FieldChange
from lakeflow_job_meta.model.table import TableInfo, TableName, TableSpec


@dataclass(frozen=True, slots=True)
class SchemaChange(FieldChange):
    """A column, or what a table is laid out by: a type is no secret, whatever the column is called."""

    @property
    def shown(self) -> FieldChange:
        return self


@dataclass(frozen=True, slots=True)
class TableAction(AnyAction):
    """One table's part of a plan; its subject is the table's full name, or the dataset's.

    `statements` are what an update runs. `reported` is what differs and stays, `refused` why. `spec` is the table as
    declared and `info` as it was found when the plan was made.
    """

    changes: tuple[FieldChange, ...] = ()
    reported: tuple[FieldChange, ...] = ()
    failed: bool = False
    statements: tuple[str, ...] = ()
    spec: TableSpec | None = None
    info: TableInfo | None = None
    causes: tuple[Cause, ...] = ()

    @property
    def table(self) -> TableName:
        """The table's name; a dataset has none."""
        return TableName.parse(self.subject)

    @property
    def doing(self) -> str:
        """What people are told is done to it."""
        return "refused" if self.failed else str(self.kind)

    def to_dict(self) -> dict[str, Any]:
        """The action as JSON-ready values."""
        return {
            "action": str(self.kind),
            "table": self.subject,
            "reason": self.reason,
            "failed": self.failed,
            "changes": [change.to_dict() for change in self.changes],
            "reported": [change.to_dict() for change in self.reported],
            "statements": list(self.statements),
        }


@dataclass(frozen=True, slots=True)
class TablePlan(AnyPlan[TableAction]):
    """All actions of one dataset, the dataset's own first.

    `deletes` names the dataset where all of its data is deleted for good: that wants its name typed. `description` is
    that of a dataset to be made.
    """

    dataset: str
    store: str
    evolve: bool = False
    deletes: str = ""
    description: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def heading(self) -> str:
        return f"dataset {self.dataset} in {self.store}"

    @property
    def findings(self) -> Sequence[Diagnostic]:
        return self.diagnostics

    @property
    def reported_as(self) -> str:
        return "stays: it would lose data" if self.evolve else "only reported; --evolve changes what loses no data"

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return {
            "dataset": self.dataset,
            "store": self.store,
            "summary": self.counts(),
            "actions": [action.to_dict() for action in self.actions],
            "diagnostics": [each.to_dict() for each in self.diagnostics],
        }

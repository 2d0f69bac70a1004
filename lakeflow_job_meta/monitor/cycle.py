"""What one look of the monitor did, as data and as a line of its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.model.plan import ActionKind, Outcome, Plan

if TYPE_CHECKING:
    from lakeflow_job_meta.ingest.report import LoadReport
    from lakeflow_job_meta.pipelines.sync import SyncReport


@dataclass(frozen=True, slots=True)
class Extent:
    """How many modules there are, how many have a job, and in how many the job had drifted; None: not looked at."""

    modules: int
    jobs: int
    drifted: int | None = None

    @classmethod
    def of(cls, plan: Plan, outcomes: tuple[Outcome, ...]) -> Extent:
        """What a plan of all modules and its outcomes tell."""
        ids = {action.module: action.job_id for action in plan.actions}
        for outcome in outcomes:
            gone = outcome.done and outcome.action.kind in (ActionKind.DELETE, ActionKind.FORGET)
            ids[outcome.action.module] = None if gone else outcome.job_id
        drifted = sum(bool(action.drift) for action in plan.actions) if plan.refreshed else None
        return cls(len(ids), sum(job_id is not None for job_id in ids.values()), drifted)


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one look did.

    `looked` is false where nothing had changed since the last one. `failures` are all modules that fail at present,
    tried this time or not. `standby` is who works instead. `versions` are those of the control table and the modules
    table; `extent` is known where all modules were looked at. `synced` is what became of the pipeline registry's rows.
    """

    looked: bool
    loaded: LoadReport | None = None
    findings: tuple[Diagnostic, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict[str, str])
    standby: str = ""
    versions: tuple[int, int] | None = None
    extent: Extent | None = None
    synced: SyncReport | None = None

    @property
    def changed(self) -> bool:
        """Whether it changed a row or a job."""
        return bool(self.outcomes) or any(each is not None and each.wrote for each in (self.loaded, self.synced))

    @property
    def result(self) -> str:
        """`changed`, `unchanged` or `standby`."""
        return "changed" if self.changed else "standby" if self.standby else "unchanged"

    @property
    def telling(self) -> bool:
        """Whether there is anything in it that a person wants to know."""
        return self.changed or (self.looked and bool(self.failures))

    def to_dict(self) -> dict[str, Any]:
        """The cycle as JSON-ready values."""
        control, modules = self.versions or (None, None)
        return {
            "looked": self.looked,
            "loaded": self.loaded.to_dict() if self.loaded else None,
            "synced": self.synced.to_dict() if self.synced else None,
            "findings": [each.to_dict() for each in self.findings],
            "outcomes": [each.to_dict() for each in self.outcomes],
            "failures": dict(self.failures),
            "standby": self.standby or None,
            "control_version": control,
            "modules_version": modules,
        }

    def line(self, seconds: float) -> str:
        """One line for the log: what was done, in how many seconds, how many modules fail, at which versions."""
        done = Counter(str(outcome.action.kind) for outcome in self.outcomes if outcome.done)
        parts = [f"{number} {kind}" for kind, number in done.items()]
        if self.loaded is not None and self.loaded.wrote:
            parts.insert(0, "files loaded")
        if self.synced is not None and self.synced.wrote:
            parts.insert(0, "pipelines synced")
        what = ", ".join(parts) or ("standing by" if self.standby else "nothing to do")
        at = "" if self.versions is None else " (control version {}, modules version {})".format(*self.versions)
        return f"cycle in {seconds:.1f} s: {what}, {len(self.failures)} failed{at}"

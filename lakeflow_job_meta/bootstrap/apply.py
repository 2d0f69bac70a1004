"""Doing what a plan says, and taking all of it back where a part fails: nothing is left half made."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from lakeflow_job_meta.bootstrap.difference import differences
from lakeflow_job_meta.bootstrap.evolution import REWRITING
from lakeflow_job_meta.bootstrap.kept import kept_name
from lakeflow_job_meta.bootstrap.table_plan import TableAction, TablePlan
from lakeflow_job_meta.errors import ApplyError, ConflictError, LakeflowJobMetaError, StoreError
from lakeflow_job_meta.model.plan import ActionKind
from lakeflow_job_meta.model.table import TableInfo, TableName
from lakeflow_job_meta.store import table_statements as sql
from lakeflow_job_meta.store.base import TableStore


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """What became of one action; `kept` is the copy of what was there before."""

    action: TableAction
    done: bool
    error: str = ""
    duration_ms: int = 0
    kept: str = ""

    def to_dict(self) -> dict[str, object]:
        """The outcome as JSON-ready values."""
        return {
            "table": self.action.subject,
            "action": str(self.action.kind),
            "done": self.done,
            "error": self.error or None,
            "kept": self.kept or None,
            "duration_ms": self.duration_ms,
        }


@dataclass(slots=True)
class _WayBack:
    """The version that a table is restored to where something fails, and how often we wrote it since."""

    name: TableName
    version: int
    commits: int = 0


@dataclass(frozen=True, slots=True)
class Applying:
    """One plan being carried out.

    Args:
        store: where the tables are.
        plan: what to do.
        now: when it began, aware: copies are named by it.
        on_outcome: told each action that is done or failed.
    """

    store: TableStore
    plan: TablePlan
    now: datetime
    on_outcome: Callable[[TableOutcome], None] = lambda outcome: None
    outcomes: list[TableOutcome] = field(default_factory=list[TableOutcome])
    notes: list[str] = field(default_factory=list[str])

    def run(self) -> list[TableOutcome]:
        """Do all of it.

        Raises:
            ApplyError: something failed; what was done before is taken back, and `outcomes` says so.
        """
        current: TableAction | None = None
        done: list[TableOutcome] = []
        try:
            with ExitStack() as undo:
                last: list[TableName] = []
                for current in self.plan.effective:
                    done.append(self._timed(current, undo, last))
                    self.on_outcome(done[-1])
                _ = undo.pop_all()
        except LakeflowJobMetaError as problem:
            raise self._failed(problem, current, done) from problem
        self.outcomes.extend(done)
        # What can't be taken back comes when nothing else can fail any more.
        self._delete(last)
        return done

    def _delete(self, names: list[TableName]) -> None:
        for number, name in enumerate(names):
            try:
                self._drop(name)
            except LakeflowJobMetaError as problem:
                left = ", ".join(str(each) for each in names[number:])
                raise ApplyError(
                    "all tables are as declared, but old ones could not be deleted",
                    failures={left: problem.message},
                    outcomes=self.outcomes,
                    hint=problem.hint or "drop them yourself",
                ) from problem

    def _failed(
        self, problem: LakeflowJobMetaError, current: TableAction | None, done: list[TableOutcome]
    ) -> LakeflowJobMetaError:
        if current is None:
            return problem
        outcome = TableOutcome(current, False, problem.message)
        self.on_outcome(outcome)
        self.outcomes.extend([*(replace(each, done=False, error="taken back") for each in done), outcome])
        if isinstance(problem, ConflictError):
            return problem
        return ApplyError(
            "; ".join([f"{current.subject} failed, and what was done before it is taken back", *self.notes]),
            failures={current.subject: problem.message},
            outcomes=self.outcomes,
            hint=problem.hint,
        )

    def _timed(self, action: TableAction, undo: ExitStack, last: list[TableName]) -> TableOutcome:
        began = time.monotonic()
        kept = self._do(action, undo, last)
        return TableOutcome(action, True, duration_ms=round((time.monotonic() - began) * 1000), kept=kept)

    def _do(self, action: TableAction, undo: ExitStack, last: list[TableName]) -> str:
        if action.subject == self.plan.dataset:
            if action.kind is ActionKind.CREATE:
                self._make_dataset(undo)
        elif action.kind is ActionKind.CREATE:
            self._create(action, undo)
        elif action.kind is ActionKind.UPDATE:
            self._update(action, undo)
        elif action.kind is ActionKind.RECREATE:
            kept = self._recreate(action, undo)
            if self.plan.deletes:
                last.append(kept)
            else:
                return str(kept)
        elif action.kind is ActionKind.DELETE:
            last.append(action.table)
        return ""

    def _make_dataset(self, undo: ExitStack) -> None:
        catalog, _, name = self.plan.dataset.partition(".")
        if self.store.listed(catalog, name) is None:
            self.store.ensure_schema(catalog, name, self.plan.description)
            _ = undo.callback(self._remove_dataset, catalog, name)

    def _remove_dataset(self, catalog: str, name: str) -> None:
        # Somebody else may have begun to use it.
        if not self.store.listed(catalog, name):
            _ = self.store.sql(sql.drop_schema(catalog, name))

    def _create(self, action: TableAction, undo: ExitStack) -> None:
        if action.spec is None:
            return
        if self.store.create(action.spec):
            _ = undo.callback(self._drop, action.spec.name)
        self._validate(action)

    def _update(self, action: TableAction, undo: ExitStack) -> None:
        before = action.info
        if before is None:
            return
        self._as_planned(before)
        way_back = _WayBack(before.name, before.version)
        _ = undo.callback(self._restore, way_back)
        for statement in action.statements:
            _ = self.store.sql(statement)
            way_back.commits += 1
            now = self.store.info(before.name) if way_back.commits == 1 else None
            if now is not None and now.version != before.version + 1:
                # Theirs came between the look and our first statement: what is ours is only the newest version.
                way_back.version = now.version - 1
                raise ConflictError(f"{before.name} was written by somebody else meanwhile", hint="bootstrap again")
        self._validate(action)

    def _restore(self, way_back: _WayBack) -> None:
        now = self.store.info(way_back.name)
        if now is None or now.version == way_back.version:
            return
        if now.version > way_back.version + way_back.commits:
            self.notes.append(
                f"others wrote {way_back.name} meanwhile, which is taken back too: it is still in version {now.version}"
            )
        _ = self.store.sql(sql.restore(way_back.name, way_back.version))

    def _recreate(self, action: TableAction, undo: ExitStack) -> TableName:
        name, before = action.table, action.info
        if before is not None:
            self._as_planned(before)
        kept = kept_name(name, self.now)
        self.store.rename(name, kept)
        _ = undo.callback(self.store.rename, kept, name)
        self._create(action, undo)
        return kept

    def _drop(self, name: TableName) -> None:
        _ = self.store.sql(sql.drop(name))

    def _as_planned(self, before: TableInfo) -> None:
        now = self.store.info(before.name)
        if now is None or (now.table_id, now.version) != (before.table_id, before.version):
            raise ConflictError(f"{before.name} changed since the plan was made", hint="bootstrap again")

    def _validate(self, action: TableAction) -> None:
        """Read the table back: all but what was only reported is as declared, and what was to go on goes on."""
        spec = action.spec
        if spec is None:
            return
        found = self.store.info(spec.name)
        if found is None:
            raise StoreError(f"{spec.name} was made, and isn't there")
        if found.properties.get(REWRITING):
            raise StoreError(f"{spec.name} is still being written anew")
        interrupted = action.info is not None and action.info.properties.get(REWRITING)
        stays = {change.path for change in action.reported}
        wrong = [each for each in differences(spec, found) if each.shown not in stays]
        if wrong and not interrupted:
            told = "; ".join(f"{each.shown}: {each.old} instead of {each.new}" for each in wrong)
            raise StoreError(f"{spec.name} isn't as declared after it was made: {told}")

"""Doing one migration so that it is done whole or not at all, whatever happens meanwhile.

First the row says what is being done, and the version of each table from before; then the statements run; then the row
says that it is done. Whoever finds a row whose run died restores the tables to those versions: a table's old versions
are the undo log. What RESTORE can't bring back, a dropped table, is lost by the last statement only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from lakeflow_job_meta.bootstrap.migrations.entry import Entry, Ranges, Run, State, Tables, Touched
from lakeflow_job_meta.bootstrap.migrations.files import MigrationFile
from lakeflow_job_meta.bootstrap.migrations.migration_plan import MigrationAction, Wish
from lakeflow_job_meta.bootstrap.migrations.record import Record, TakenOver
from lakeflow_job_meta.bootstrap.migrations.sections import Section, final_drop
from lakeflow_job_meta.errors import LakeflowJobMetaError, SqlError, StoreError
from lakeflow_job_meta.model.table import TableInfo, TableName
from lakeflow_job_meta.store.base import one_look
from lakeflow_job_meta.store.statements import full_name

logger = logging.getLogger(__name__)

INTERRUPTED = "interrupted"


class MigrationFailed(StoreError):
    """A migration failed; its tables are as they were before it."""


@dataclass(slots=True)
class CarryOut:
    """Does one migration after the other; `made` are the versions that our own statements made of each table, first and
    last of each."""

    record: Record
    run: Run
    made: dict[TableName, list[tuple[int, int]]] = field(default_factory=dict[TableName, "list[tuple[int, int]]"])

    def do(self, action: MigrationAction) -> Entry | None:
        """Do one of a plan; returns its row as it is then.

        Raises:
            MigrationFailed: a statement failed; the tables are restored, and the row says so.
            ConflictError: another run does it.
            StoreError: the tables couldn't be restored; the next run tries again.
        """
        entry = action.entry
        if entry is not None and action.interrupted:
            entry = self._put_right(action.file, entry)
        done = entry is not None and entry.state.done
        if action.wish is Wish.UP and not done:
            return self._up(action.file, entry)
        if action.wish is Wish.DOWN and entry is not None and done:
            return self._down(action.file, entry)
        if action.wish is Wish.BASELINE and not done:
            begun = self.run.begins(replace(self._new(action.file), own=entry.own if entry else {}))
            return self.record.write(entry, self.run.ends(begun, State.BASELINE))
        return entry

    def _up(self, file: MigrationFile, before: Entry | None) -> Entry:
        tables = self._versions(file.up)
        own: Ranges = before.own if before else {}
        entry = self.record.write(before, self.run.begins(replace(self._new(file), tables=tables, own=own)))
        self._attempt(entry, partial(self._run, file.up, entry), tables, State.FAILED)
        with one_look(self.record.store):
            after = replace(entry, tables=self._after(tables), own=self._own(entry, self._made_of))
        return self.record.write(entry, self.run.ends(after, State.APPLIED))

    def _down(self, file: MigrationFile, before: Entry) -> Entry:
        tables = self._versions(file.down) if file.down is not None else self._now(before.tables)
        entry = self.record.write(before, self.run.begins(replace(before, state=State.REVERTING, undone=tables)))
        act = partial(self._run, file.down, entry) if file.down is not None else partial(self._restore, before.tables)
        self._attempt(entry, act, tables, before.state)
        with one_look(self.record.store):
            after = replace(entry, undone=self._after(tables), own=self._own(entry, self._made_of))
        return self.record.write(entry, self.run.ends(after, State.REVERTED))

    def _put_right(self, file: MigrationFile, found: Entry) -> Entry:
        """Finish what a dead run began, or take it back."""
        entry = self.record.write(found, self.run.begins(found))
        logger.info("%s: interrupted while %s, put right by run %s", entry.name, entry.state, self.run.run_id)
        applying, tables = entry.state is State.APPLYING, entry.touched
        if any(each.dropped and self.record.store.info(name) is None for name, each in tables.items()):
            # The drop comes last: all before it is done.
            if applying:
                return self._ended(entry, replace(entry, tables=self._after(tables)), State.APPLIED)
            return self._ended(entry, replace(entry, undone=self._after(tables)), State.REVERTED)
        if applying:
            self._restore(tables)
            return self._ended(entry, entry, State.FAILED, INTERRUPTED)
        if file.down is None:
            self._restore(entry.tables)
            return self._ended(entry, replace(entry, undone=self._after(tables)), State.REVERTED)
        self._restore(tables)
        return self._ended(entry, replace(entry, undone=None), State.APPLIED, INTERRUPTED)

    def _attempt(self, entry: Entry, act: Callable[[], None], before: Tables, otherwise: State) -> None:
        """Do it, or leave the tables as they were and the row in the state that it then has."""
        try:
            act()
        except TakenOver:
            raise
        except (LakeflowJobMetaError, KeyboardInterrupt) as problem:
            said = problem.message if isinstance(problem, LakeflowJobMetaError) else INTERRUPTED
            hint = problem.hint if isinstance(problem, LakeflowJobMetaError) else ""
            self.record.check(entry)
            said += self._written_by_others(before)
            mine = {name: each for name, each in before.items() if each.before is not None or name in self.made}
            try:
                self._restore(mine)
            except LakeflowJobMetaError as worse:
                raise StoreError(
                    f"{said}; and its tables can't be restored: {worse.message}",
                    hint="the next `ljm bootstrap migrate` tries again",
                ) from problem
            undone = None if entry.state is State.REVERTING else entry.undone
            _ = self._ended(entry, replace(entry, undone=undone), otherwise, said)
            if isinstance(problem, KeyboardInterrupt):
                raise
            raise MigrationFailed(f"{said}; its tables are as they were before", hint=hint) from problem

    def _run(self, section: Section, entry: Entry) -> None:
        for step in section:
            self.record.check(entry)
            try:
                self._sql(step.text, step.table)
            except SqlError as problem:
                raise SqlError(f"{step.where}: {problem.message}", hint=problem.hint) from problem

    def _sql(self, text: str, table: TableName | None) -> None:
        """Run a statement, and remember which versions of its table it made."""
        first = 0
        if table is not None and (info := self.record.store.info(table)) is not None:
            first = info.version + 1
        _ = self.record.store.sql(text)
        if table is not None and (info := self.record.store.info(table)) is not None:
            self.made.setdefault(table, []).append((first, info.version))

    def _restore(self, tables: Tables) -> None:
        """Bring tables back to the versions before, those first that RESTORE brings back."""
        for name, each in sorted(tables.items(), key=lambda item: item[1].before is None):
            info = self.record.store.info(name)
            if each.before is None and info is None:
                continue
            if each.before is None and info is not None and each.table_id in (None, info.table_id):
                self._sql(f"DROP TABLE {full_name(name)}", name)
            elif info is None or info.table_id != each.table_id:
                what = "is gone" if info is None else "is another table now"
                raise StoreError(
                    f"{name} {what}: it can't be brought back to what it was",
                    hint="put the table that was changed in its place (UNDROP TABLE, or a copy), then run this again",
                )
            elif info.version != each.before:
                self._sql(f"RESTORE TABLE {full_name(name)} TO VERSION AS OF {each.before:d}", name)

    def _written_by_others(self, before: Tables) -> str:
        """Which versions of others a restore takes back too, as words to end an error with."""
        found: list[str] = []
        for name, each in before.items():
            info = self.record.store.info(name)
            ours = sum(last - first + 1 for first, last in self.made.get(name, ()))
            if info is not None and each.before is not None and info.version - each.before > ours:
                found.append(f"{name} (still there: VERSION AS OF {info.version})")
        return f"; others wrote meanwhile, which is taken back too: {', '.join(found)}" if found else ""

    def _versions(self, section: Section) -> dict[TableName, Touched]:
        lost = final_drop(section)
        names = dict.fromkeys(step.table for step in section if step.table is not None)
        return {name: replace(each, dropped=name == lost) for name, each in self._now(names).items()}

    def _now(self, names: Iterable[TableName]) -> dict[TableName, Touched]:
        self.made.clear()
        infos = {name: self.record.store.info(name) for name in names}
        return {
            name: Touched(info.table_id, info.version) if info else Touched(None, None) for name, info in infos.items()
        }

    def _after(self, tables: Tables) -> dict[TableName, Touched]:
        after: dict[TableName, Touched] = {}
        for name, each in tables.items():
            info = self.record.store.info(name)
            made = info.table_id if info is not None and each.table_id is None else each.table_id
            after[name] = replace(each, table_id=made, after=info.version if info else None)
        return after

    def _ended(self, before: Entry, after: Entry, state: State, error: str | None = None) -> Entry:
        """End what was restored: all that was written since it began is gone, by whomever."""
        return self.record.write(before, self.run.ends(replace(after, own=self._own(before, _all_since)), state, error))

    def _own(
        self, entry: Entry, ranges: Callable[[TableName, Touched, TableInfo], Iterable[tuple[int, int]]]
    ) -> Ranges:
        """The versions that are the migration's, with those of now."""
        own = dict(entry.own)
        for name, each in entry.touched.items():
            info = self.record.store.info(name)
            if info is not None and each.table_id in (None, info.table_id):
                own[info.table_id] = (*own.get(info.table_id, ()), *ranges(name, each, info))
        return own

    def _made_of(self, name: TableName, touched: Touched, info: TableInfo) -> Iterable[tuple[int, int]]:
        return self.made.get(name, ())

    def _new(self, file: MigrationFile) -> Entry:
        run = self.run
        begun = run.begun_at
        return Entry(file.version, file.name, file.checksum, State.APPLYING, run.run_id, run.holder, run.actor, begun)


def _all_since(name: TableName, touched: Touched, info: TableInfo) -> Iterable[tuple[int, int]]:
    first = 0 if touched.before is None else touched.before + 1
    return [(first, info.version)] if first <= info.version else []

"""What there is to do with each migration, from the files and the record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lakeflow_job_meta.bootstrap.migrations.entry import Entry, State
from lakeflow_job_meta.bootstrap.migrations.files import MigrationFile, MigrationFolder
from lakeflow_job_meta.bootstrap.migrations.record import Recorded
from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, counted
from lakeflow_job_meta.model.plan import Action, ActionKind, FieldChange


class Wish(StrEnum):
    """What is asked for."""

    UP = "up"
    DOWN = "down"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Work:
    """One migration's part of a plan: its action as people read it, its row as it was read, None where it has none.

    `wish` is None where it is only to be put right after an interruption, or where nothing is to be done.
    """

    action: Action
    file: MigrationFile
    entry: Entry | None = None
    wish: Wish | None = None

    @property
    def interrupted(self) -> bool:
        return self.entry is not None and self.entry.state.under_way


def record_findings(folder: MigrationFolder, recorded: Recorded) -> list[Diagnostic]:
    """Where the files don't go with what was applied: changed, gone, or left out."""
    found: list[Diagnostic] = []
    applied = [version for version, entry in recorded.entries.items() if entry.state.done]
    for version, entry in sorted(recorded.entries.items()):
        file = folder.by_version.get(version)
        at = f"{entry.state} at {entry.begun_at:%Y-%m-%d %H:%M} by {entry.actor}"
        if file is None and not (entry.state.done or entry.state.under_way):
            continue  # given up: it left no trace in the tables
        if file is None:
            where = RowLocation(str(recorded.table), str(version))
            hint = "bring the file back; is this the right folder, or an older checkout?"
            found.append(Diagnostic(f"{entry.name} is recorded as {at}, but there is no such file", where, hint))
        elif file.checksum != entry.checksum and (entry.state.done or entry.state is State.REVERTING):
            message = f"changed since it was {at}: its checksum was {entry.checksum[:12]}, and is {file.checksum[:12]}"
            hint = "put it back as it was, and write what is new into a migration of its own"
            found.append(Diagnostic(message, file.where, hint))
        elif file.name != entry.name and entry.state.done:
            message = f"was called {entry.name} when it was applied"
            found.append(Diagnostic(message, file.where, severity=Severity.WARNING))
    for version, file in folder.by_version.items():
        entry = recorded.entries.get(version)
        waits = entry is None or entry.state in (State.FAILED, State.REVERTED)
        if waits and (later := [each for each in applied if each > version]):
            message = f"isn't applied, but version {min(later)} is"
            hint = "`ljm bootstrap migrate down --to` the version before it, then up again"
            found.append(Diagnostic(message, file.where, hint))
    return found


def plan_up(folder: MigrationFolder, recorded: Recorded, to: int) -> list[Work]:
    """Apply what isn't applied, up to a version, the oldest first."""
    return [_up(file, recorded.entries.get(file.version), to) for file in folder.files]


def plan_down(folder: MigrationFolder, recorded: Recorded, to: int) -> list[Work]:
    """Take back what is applied, down to a version that stays, the newest first."""
    return [_down(file, recorded.entries.get(file.version), to) for file in reversed(folder.files)]


def plan_baseline(folder: MigrationFolder, recorded: Recorded, to: int) -> list[Work]:
    """Record as applied what isn't, up to a version."""
    return [_baseline(file, recorded.entries.get(file.version), to) for file in folder.files]


def newest(recorded: Recorded) -> int:
    """The newest version of which something is left to take back; 0 where there is none."""
    return max((at for at, entry in recorded.entries.items() if entry.state.done or entry.state.under_way), default=0)


def is_restored(work: Work) -> bool:
    """Whether it is taken back by RESTORE."""
    return work.wish is Wish.DOWN and work.file.down is None


def _up(file: MigrationFile, entry: Entry | None, to: int) -> Work:
    beyond = file.version > to
    if entry is not None and entry.state.under_way:
        stays = beyond or (entry.state is State.REVERTING and file.down is not None)
        return _work(file, entry, None if stays else Wish.UP)
    if entry is not None and entry.state.done:
        return _skip(file, entry, _since(entry))
    if beyond:
        return _skip(file, entry, f"later than version {to}")
    return _work(file, entry, Wish.UP)


def _down(file: MigrationFile, entry: Entry | None, to: int) -> Work:
    if entry is None or not (entry.state.done or entry.state.under_way):
        return _skip(file, entry, "not applied")
    if file.version <= to:
        return _work(file, entry, None) if entry.state.under_way else _skip(file, entry, _since(entry))
    finished = entry.state is State.APPLYING or (entry.state is State.REVERTING and file.down is None)
    return _work(file, entry, None if finished else Wish.DOWN)


def _baseline(file: MigrationFile, entry: Entry | None, to: int) -> Work:
    if entry is not None and entry.state.done:
        return _skip(file, entry, _since(entry))
    if file.version > to:
        return _skip(file, entry, f"later than version {to}")
    return _work(file, entry, Wish.BASELINE)


def _skip(file: MigrationFile, entry: Entry | None, reason: str) -> Work:
    return Work(Action(ActionKind.SKIP, file.name, reason), file, entry)


def _work(file: MigrationFile, entry: Entry | None, wish: Wish | None) -> Work:
    reasons = list(_reasons(file, entry, wish))
    return Work(
        Action(ActionKind.UPDATE, file.name, "; ".join(reasons), changes=tuple(_changes(file, entry, wish))),
        file,
        entry,
        wish,
    )


def _reasons(file: MigrationFile, entry: Entry | None, wish: Wish | None) -> Iterator[str]:
    if entry is not None and entry.state.under_way:
        what = "being applied" if entry.state is State.APPLYING else "being taken back"
        forward = entry.state is State.REVERTING and file.down is None
        then = "that is finished first" if forward else "its tables are restored first"
        yield f"interrupted while {what} since {entry.begun_at:%Y-%m-%d %H:%M} by {entry.actor}: {then}"
    if wish is Wish.UP:
        again = entry is not None and entry.state is State.FAILED
        yield f"{'up again, it failed before' if again else 'up'}: {counted(len(file.up), 'statement')}"
    elif wish is Wish.DOWN and file.down is not None:
        yield f"down: {counted(len(file.down), 'statement')}"
    elif wish is Wish.DOWN:
        yield "down by RESTORE: it has no down section"
    elif wish is Wish.BASELINE:
        yield "baseline: only recorded as applied"


def _changes(file: MigrationFile, entry: Entry | None, wish: Wish | None) -> Iterator[FieldChange]:
    if wish in (Wish.UP, Wish.DOWN):
        section = file.up if wish is Wish.UP else file.down
        yield from (FieldChange(f"{wish}[{at}]", new=_line(step.text)) for at, step in enumerate(section or ()))
    if wish is Wish.DOWN and file.down is None and entry is not None:
        for table, touched in entry.tables.items():
            if touched.before is None:
                yield FieldChange(str(table), old=f"version {touched.after}")
            else:
                yield FieldChange(str(table), old=f"version {touched.after}", new=f"version {touched.before}")


def _line(text: str) -> str:
    return " ".join(text.split())


def _since(entry: Entry) -> str:
    what = "recorded as applied" if entry.state is State.BASELINE else "applied"
    return f"{what} at {entry.begun_at:%Y-%m-%d %H:%M} by {entry.actor}"


def baseline_findings(works: Sequence[Work]) -> list[Diagnostic]:
    """Migrations that were only recorded as applied have no version to go back to."""
    return [
        Diagnostic(
            "was only recorded as applied, and has no down section: there is no version to restore",
            work.file.where,
            "a later migration can change the tables as you want them",
        )
        for work in works
        if is_restored(work) and work.entry is not None and work.entry.state is State.BASELINE
    ]


def own_versions(recorded: Recorded) -> Mapping[str, set[int]]:
    """The versions of each table, by id, that migrations made, be it up or down."""
    made: dict[str, set[int]] = {}
    for entry in recorded.entries.values():
        for table_id, ranges in entry.own.items():
            for first, last in ranges:
                made.setdefault(table_id, set()).update(range(first, last + 1))
    return made

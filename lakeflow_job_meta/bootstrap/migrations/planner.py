"""What there is to do with each migration, from the files and the record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lakeflow_job_meta.bootstrap.migrations.entry import Entry, State
from lakeflow_job_meta.bootstrap.migrations.files import MigrationFile, MigrationFolder
from lakeflow_job_meta.bootstrap.migrations.migration_plan import MigrationAction, Wish
from lakeflow_job_meta.bootstrap.migrations.record import Recorded
from lakeflow_job_meta.bootstrap.table_plan import SchemaChange
from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, counted
from lakeflow_job_meta.model.plan import FieldChange


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


def plan_up(folder: MigrationFolder, recorded: Recorded, to: int) -> list[MigrationAction]:
    """Apply what isn't applied, up to a version, the oldest first."""
    return [_up(file, recorded.entries.get(file.version), to) for file in folder.files]


def plan_down(folder: MigrationFolder, recorded: Recorded, to: int) -> list[MigrationAction]:
    """Take back what is applied, down to a version that stays, the newest first."""
    return [_down(file, recorded.entries.get(file.version), to) for file in reversed(folder.files)]


def plan_baseline(folder: MigrationFolder, recorded: Recorded, to: int) -> list[MigrationAction]:
    """Record as applied what isn't, up to a version."""
    return [_baseline(file, recorded.entries.get(file.version), to) for file in folder.files]


def newest(recorded: Recorded) -> int:
    """The newest version of which something is left to take back; 0 where there is none."""
    return max((at for at, entry in recorded.entries.items() if entry.state.done or entry.state.under_way), default=0)


def _up(file: MigrationFile, entry: Entry | None, to: int) -> MigrationAction:
    beyond = file.version > to
    if entry is not None and entry.state.under_way:
        stays = beyond or (entry.state is State.REVERTING and file.down is not None)
        return _work(file, entry, None if stays else Wish.UP)
    if entry is not None and entry.state.done:
        return MigrationAction.to_skip(file, entry, _since(entry))
    if beyond:
        return MigrationAction.to_skip(file, entry, f"later than version {to}")
    return _work(file, entry, Wish.UP)


def _down(file: MigrationFile, entry: Entry | None, to: int) -> MigrationAction:
    if entry is None or not (entry.state.done or entry.state.under_way):
        return MigrationAction.to_skip(file, entry, "not applied")
    stays = file.version <= to
    if stays and not entry.state.under_way:
        return MigrationAction.to_skip(file, entry, _since(entry))
    gone = entry.state is State.APPLYING or (entry.state is State.REVERTING and file.down is None)
    return _work(file, entry, None if stays or gone else Wish.DOWN)


def _baseline(file: MigrationFile, entry: Entry | None, to: int) -> MigrationAction:
    if entry is not None and entry.state.done:
        return MigrationAction.to_skip(file, entry, _since(entry))
    if file.version > to:
        return MigrationAction.to_skip(file, entry, f"later than version {to}")
    return _work(file, entry, Wish.BASELINE)


def _work(file: MigrationFile, entry: Entry | None, wish: Wish | None) -> MigrationAction:
    reason = "; ".join(_reasons(file, entry, wish))
    return MigrationAction.to_do(file, entry, wish, reason, list(_changes(file, entry, wish)))


def _reasons(file: MigrationFile, entry: Entry | None, wish: Wish | None) -> Iterator[str]:
    if entry is not None and entry.state.under_way:
        what = "being applied" if entry.state is State.APPLYING else "being taken back"
        forward = entry.state is State.REVERTING and file.down is None
        then = "that is finished first" if forward else "its tables are restored first"
        yield f"interrupted while {what} since {entry.begun_at:%Y-%m-%d %H:%M} by {entry.actor}: {then}"
    if wish is Wish.UP:
        again = entry is not None and entry.state is State.FAILED
        yield counted(len(file.up), "statement") + (", again: it failed before" if again else "")
    elif wish is Wish.DOWN and file.down is not None:
        yield counted(len(file.down), "statement")
    elif wish is Wish.DOWN:
        yield "by RESTORE: it has no down section"
    elif wish is Wish.BASELINE:
        yield "as applied, without running it"


def _changes(file: MigrationFile, entry: Entry | None, wish: Wish | None) -> Iterator[FieldChange]:
    if wish in (Wish.UP, Wish.DOWN):
        section = file.up if wish is Wish.UP else file.down
        yield from (FieldChange(f"{wish}[{at}]", new=_line(step.text)) for at, step in enumerate(section or ()))
    if wish is Wish.DOWN and file.down is None and entry is not None:
        for table, touched in entry.tables.items():
            if touched.before is None:
                yield SchemaChange(str(table), old=f"version {touched.after}")
            else:
                yield SchemaChange(str(table), old=f"version {touched.after}", new=f"version {touched.before}")


def _line(text: str) -> str:
    return " ".join(text.split())


def _since(entry: Entry) -> str:
    what = "recorded as applied" if entry.state is State.BASELINE else "applied"
    return f"{what} at {entry.begun_at:%Y-%m-%d %H:%M} by {entry.actor}"


def baseline_findings(actions: Sequence[MigrationAction]) -> list[Diagnostic]:
    """Migrations that were only recorded as applied have no version to go back to."""
    return [
        Diagnostic(
            "was only recorded as applied, and has no down section: there is no version to restore",
            each.file.where,
            "a later migration can change the tables as you want them",
        )
        for each in actions
        if each.restores and each.entry is not None and each.entry.state is State.BASELINE
    ]


def own_versions(recorded: Recorded) -> Mapping[str, set[int]]:
    """The versions of each table, by id, that migrations made, be it up or down."""
    made: dict[str, set[int]] = {}
    for entry in recorded.entries.values():
        for table_id, ranges in entry.own.items():
            for first, last in ranges:
                made.setdefault(table_id, set()).update(range(first, last + 1))
    return made

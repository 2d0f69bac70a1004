"""Which file a row belongs to: what the records of earlier loads say, and the records that a load leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lakeflow_job_meta.control.files import FileRecord, RowKey, newest_by_key, place_of
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.declared import DeclaredFile, DeclaredRow
from lakeflow_job_meta.ingest.folder import Declarations, is_bad, read_declared
from lakeflow_job_meta.ingest.merge import Merge
from lakeflow_job_meta.model.table import Changes


@dataclass(frozen=True, slots=True)
class Claims:
    """The records of all earlier loads, seen from the file or folder that is loaded now."""

    declarations: Declarations
    records: tuple[FileRecord, ...]
    newest: Mapping[RowKey, FileRecord]

    @classmethod
    def of(cls, declarations: Declarations, records: Iterable[FileRecord]) -> Claims:
        listed = tuple(records)
        return cls(declarations, listed, newest_by_key(listed))

    def in_scope(self, place: str) -> bool:
        """Whether this load speaks for that file: it is the one loaded, or was below the folder loaded."""
        whole = self.declarations
        if whole.single:
            return place == place_of(whole.root, whole.files[0].relative)
        return place.startswith(place_of(whole.root, ""))

    def gone(self, declared: Mapping[RowKey, DeclaredRow]) -> list[RowKey]:
        """Rows that files in scope declared before, and that nothing declares now."""
        return sorted(
            key
            for key, record in self.newest.items()
            if key not in declared and not record.released and self.in_scope(record.place)
        )

    def disputed(self) -> dict[str, list[Diagnostic]]:
        """Findings by file: rows that belong to another file, which still declares them or can't be read."""
        by_place = {place_of(self.declarations.root, file.relative): file for file in self.declarations.files}
        others: dict[str, DeclaredFile | None] = {}
        found: dict[str, list[Diagnostic]] = {}
        for key, (file, row) in self.declarations.rows.items():
            record = self.newest.get(key)
            if record is None or record.released or record.place == place_of(self.declarations.root, file.relative):
                continue
            other = by_place.get(record.place)
            if other is None and self._may_still_declare(record):
                if record.place not in others:
                    others[record.place] = _read_other(record)
                other = others[record.place]
            if other is not None and (is_bad(other) or key in {each.key for each in other.rows}):
                found.setdefault(file.name, []).append(_dispute(row, other))
        return found

    def _may_still_declare(self, record: FileRecord) -> bool:
        """Whether it is a file beside the one loaded, or of the same folder. A file elsewhere, like an export that is
        loaded to restore rows, or another checkout, just takes them over."""
        root = self.declarations.root
        return self.declarations.single and root in (record.root, str(Path(record.place).parent))

    def record_changes(
        self, rows: Mapping[RowKey, tuple[DeclaredFile, DeclaredRow]], merged: Merge, prints: Prints, now: datetime
    ) -> Changes:
        """The records to write after a merge: rows that hold what a file declares are that file's."""
        held, kept = merged.held, {row.key for row in merged.kept}
        wanted: dict[RowKey, FileRecord | None] = {}
        for key, (file, row) in rows.items():
            last = self.newest.get(key)
            if key in held:
                root, path = self.declarations.root, file.relative
                claim = FileRecord(root, path, *key, file.sha256, now, prints(key)) if row.explicit else None
                wanted[key] = last if claim is not None and last is not None and _says_same(last, claim) else claim
            elif key in kept and last is not None and not last.released and last.fingerprint == prints(key):
                moved = last.place != place_of(self.declarations.root, file.relative)
                wanted[key] = replace(last, root=self.declarations.root, path=file.relative) if moved else last
        for key in merged.released:
            deactivated = key in merged.after
            wanted[key] = (
                replace(self.newest[key], sha256=None, loaded_at=now, fingerprint=merged.after[key])
                if deactivated
                else None
            )
        return self._difference(wanted)

    def _difference(self, wanted: Mapping[RowKey, FileRecord | None]) -> Changes:
        present = set(self.records)
        upserts = [record for record in wanted.values() if record is not None and record not in present]
        deletes = [
            record for record in self.records if record.key in wanted and not _same_row(record, wanted[record.key])
        ]
        return Changes(tuple(each.to_row() for each in upserts), tuple(each.to_row() for each in deletes))


Prints = Callable[[RowKey], str]
"""The fingerprint of a declared row."""


def _read_other(record: FileRecord) -> DeclaredFile | None:
    try:
        return read_declared(Path(record.place), record.path)
    except InputError:  # gone: its rows are free
        return None


def _dispute(row: DeclaredRow, other: DeclaredFile) -> Diagnostic:
    column = "source_id" if row.key[1] else "module_name"
    why = "can't be read now" if is_bad(other) else "still declares it"
    message = f"{row.name} belongs to {other.name}, which {why}"
    return Diagnostic(message, row.place.at(column), "declare it in one file only")


def _says_same(one: FileRecord, other: FileRecord) -> bool:
    return (one.place, one.fingerprint, one.released) == (other.place, other.fingerprint, other.released)


def _same_row(record: FileRecord, wanted: FileRecord | None) -> bool:
    return wanted is not None and (record.root, record.path) == (wanted.root, wanted.path)

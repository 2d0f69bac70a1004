"""Which file a row belongs to: what the records of earlier loads say, and the records that a load leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lakeflow_job_meta.control.files import FileRecord, RowKey, age, newest_by_key, place_of
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.declared import DeclaredFile, DeclaredRow
from lakeflow_job_meta.ingest.folder import Declarations, is_bad, read_declared
from lakeflow_job_meta.ingest.merge import Merge
from lakeflow_job_meta.model.table import Changes

KEPT_ELSEWHERE = 3
"""So many records of files elsewhere are kept of a row, the newest: who loads from a new checkout each time leaves a
record each time."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The records of all earlier loads, seen from the file or folder that is loaded now.

    Each file keeps its own record of a row. What another file wrote in between, like an export that is loaded again,
    must not hide that the row was edited since this one wrote it.
    """

    declarations: Declarations
    records: Mapping[RowKey, tuple[FileRecord, ...]]
    newest: Mapping[RowKey, FileRecord]

    @classmethod
    def of(cls, declarations: Declarations, records: Iterable[FileRecord]) -> Claims:
        by_key: dict[RowKey, list[FileRecord]] = {}
        for record in records:
            by_key.setdefault(record.key, []).append(record)
        return cls(
            declarations,
            {key: tuple(each) for key, each in by_key.items()},
            newest_by_key(record for each in by_key.values() for record in each),
        )

    def in_scope(self, place: str) -> bool:
        """Whether this load speaks for that file: it is the one loaded, or was below the folder loaded."""
        whole = self.declarations
        if whole.single:
            return place == place_of(whole.root, whole.files[0].relative)
        return place.startswith(place_of(whole.root, ""))

    def own(self, key: RowKey, file: DeclaredFile) -> FileRecord | None:
        """What this file last said of the row, or the file that the row was moved from."""
        place = place_of(self.declarations.root, file.relative)
        ours = [record for record in self.records.get(key, ()) if self._ours(record)]
        same = [record for record in ours if record.place == place]
        return newest_by_key(same or ours).get(key)

    def last(self, key: RowKey, file: DeclaredFile) -> FileRecord | None:
        """What the row is compared with, to tell whether it was edited: the file's own record; where it has none,
        the newest of any file."""
        return self.own(key, file) or self.newest.get(key)

    def gone(self, declared: Mapping[RowKey, DeclaredRow]) -> list[RowKey]:
        """Rows that files in scope declared before, and that nothing declares now."""
        return sorted(
            key
            for key, record in self.newest.items()
            if key not in declared and not record.released and self.in_scope(record.place)
        )

    def taken_over(self, declared: Mapping[RowKey, DeclaredRow]) -> dict[str, list[RowKey]]:
        """Rows that files in scope declared before and nothing here declares now, by the file elsewhere that wrote
        them last, like an export that was loaded: they are that file's."""
        found: dict[str, list[RowKey]] = {}
        for key, record in sorted(self.newest.items()):
            if key in declared or record.released or self.in_scope(record.place):
                continue
            if any(self.in_scope(each.place) and not each.released for each in self.records[key]):
                found.setdefault(record.place, []).append(key)
        return found

    def disputed(self) -> dict[str, list[Diagnostic]]:
        """Findings by file: rows that belong to another file, which still declares them or can't be read."""
        by_place = {place_of(self.declarations.root, file.relative): file for file in self.declarations.files}
        others: dict[str, DeclaredFile | None] = {}
        found: dict[str, list[Diagnostic]] = {}
        for key, (file, row) in self.declarations.rows.items():
            place = place_of(self.declarations.root, file.relative)
            for record in self.records.get(key, ()):
                if record.released or record.place == place or not self._ours(record):
                    continue
                other = by_place.get(record.place)
                if other is None and self.declarations.single:
                    if record.place not in others:
                        others[record.place] = self._read_other(record)
                    other = others[record.place]
                if other is not None and (is_bad(other) or key in {each.key for each in other.rows}):
                    found.setdefault(file.name, []).append(_dispute(row, other))
        return found

    def _ours(self, record: FileRecord) -> bool:
        """Whether this load looks at that file too: a row that a good file declares now was moved there from it.

        For a single file that is the row's owner, where it lies beside it or is of the same folder. A file elsewhere,
        like an export that is loaded to restore rows, or another checkout, just takes them over.
        """
        if self.in_scope(record.place):
            return True
        root = self.declarations.root
        beside = self.declarations.single and root in (record.root, str(Path(record.place).parent))
        return beside and self.newest[record.key] is record

    def _read_other(self, record: FileRecord) -> DeclaredFile | None:
        path = self.declarations.found.other(record.place)
        try:
            return read_declared(path, record.path, record.place) if path is not None else None
        except InputError:  # gone: its rows are free
            return None

    def record_changes(
        self, rows: Mapping[RowKey, tuple[DeclaredFile, DeclaredRow]], merged: Merge, prints: Prints, now: datetime
    ) -> Changes:
        """The records to write after a merge: rows that hold what a file declares are that file's."""
        held, kept = merged.held, {row.key for row in merged.kept}
        wanted: dict[RowKey, FileRecord | None] = {}
        for key, (file, row) in rows.items():
            root, path = self.declarations.root, file.relative
            if key in held:
                claim = FileRecord(root, path, *key, file.sha256, now, prints(key)) if row.explicit else None
                wanted[key] = self._unless_said(claim)
            elif (
                key in kept and (last := self.last(key, file)) and not last.released and last.fingerprint == prints(key)
            ):
                wanted[key] = self._unless_said(replace(last, root=root, path=path, loaded_at=now))
        for key in merged.released:
            last = replace(self.newest[key], sha256=None, loaded_at=now, fingerprint=merged.after.get(key))
            wanted[key] = last if key in merged.after else None
        return self._difference(wanted)

    def _unless_said(self, claim: FileRecord | None) -> FileRecord | None:
        """The claim, or the record that says the same already and is the newest of its row."""
        newest = self.newest.get(claim.key) if claim is not None else None
        return newest if newest is not None and claim is not None and _says_same(newest, claim) else claim

    def _difference(self, wanted: Mapping[RowKey, FileRecord | None]) -> Changes:
        upserts: list[FileRecord] = []
        deletes: list[FileRecord] = []
        for key, record in wanted.items():
            present = self.records.get(key, ())
            elsewhere = sorted((each for each in present if not self._ours(each)), key=age, reverse=True)
            stays = elsewhere[:KEPT_ELSEWHERE]
            if record is not None and record not in present:
                upserts.append(record)
            deletes += [each for each in present if each not in stays and not _same_row(each, record)]
        return Changes(tuple(each.to_row() for each in upserts), tuple(each.to_row() for each in deletes))


Prints = Callable[[RowKey], str]
"""The fingerprint of a declared row."""


def _dispute(row: DeclaredRow, other: DeclaredFile) -> Diagnostic:
    column = "source_id" if row.key[1] else "module_name"
    why = "can't be read now" if is_bad(other) else "still declares it"
    message = f"{row.name} belongs to {other.name}, which {why}"
    return Diagnostic(message, row.place.at(column), "declare it in one file only")


def _says_same(one: FileRecord, other: FileRecord) -> bool:
    return (one.place, one.fingerprint, one.released) == (other.place, other.fingerprint, other.released)


def _same_row(record: FileRecord, wanted: FileRecord | None) -> bool:
    return wanted is not None and (record.root, record.path) == (wanted.root, wanted.path)

"""How a declared table and the one that was found differ, one difference at a time. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.table import TableInfo, TableSpec
from lakeflow_job_meta.model.table_types import STRUCT

Path = tuple[str, ...]


class Kind(StrEnum):
    """What differs."""

    ADD = "add"
    DROP = "drop"
    WIDEN = "widen"
    CHANGE_TYPE = "change type"
    RELAX = "relax"
    REQUIRE = "require"
    COMMENT = "comment"
    DEFAULT = "default"
    DESCRIBE = "describe"
    CLUSTER = "cluster"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: of the column or field at a path, or (no path) of the table as a whole.

    `column` is the declared one, None where there is none; `steps` is the path as SQL writes it: within an array, a
    record is its `element`.
    """

    kind: Kind
    path: Path
    old: str | None
    new: str | None
    column: Column | None = None
    steps: Path = ()

    @property
    def shown(self) -> str:
        """Where it is, as people read it."""
        return ".".join(self.path) if self.path else _OF_TABLE[self.kind]


_OF_TABLE = {Kind.DESCRIBE: "description", Kind.CLUSTER: "cluster_by", Kind.PARTITION: "partition_by"}

_WHOLE = ("BYTE", "SMALLINT", "INT", "BIGINT")
_DIGITS = {"BYTE": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 20}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def widens(old: str, new: str) -> bool:
    """Whether every value of one type is one of the other, unchanged; as Delta's own type widening has it.

    >>> widens("INT", "BIGINT"), widens("DECIMAL(10,2)", "DECIMAL(12,2)"), widens("BIGINT", "DOUBLE")
    (True, True, False)
    """
    if old in _WHOLE and new in _WHOLE:
        return _WHOLE.index(old) < _WHOLE.index(new)
    to = _DECIMAL.fullmatch(new)
    if to:
        digits, scale = int(to[1]), int(to[2])
        if old in _DIGITS:
            return digits - scale >= _DIGITS[old]
        was = _DECIMAL.fullmatch(old)
        return bool(was) and scale >= int(was[2]) and digits - scale >= int(was[1]) - int(was[2])
    return (old, new) in (
        ("FLOAT", "DOUBLE"), ("DATE", "TIMESTAMP_NTZ"),
        ("BYTE", "DOUBLE"), ("SMALLINT", "DOUBLE"), ("INT", "DOUBLE"),
    )  # fmt: skip


def differences(spec: TableSpec, info: TableInfo) -> list[Difference]:
    """All differences of a table, those of its columns first."""
    found = list(_columns(spec.columns, info.columns, (), (), info.tells_required))
    if spec.description != info.description:
        found.append(Difference(Kind.DESCRIBE, (), info.description, spec.description))
    if spec.partition_by != info.partition_by:
        found.append(Difference(Kind.PARTITION, (), _listed(info.partition_by), _listed(spec.partition_by)))
    if spec.cluster_by != info.cluster_by:
        found.append(Difference(Kind.CLUSTER, (), _listed(info.cluster_by), _listed(spec.cluster_by)))
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _columns(
    wanted: Sequence[Column], found: Sequence[Column], path: Path, steps: Path, told: bool
) -> Iterator[Difference]:
    there = {each.name.lower(): each for each in found}
    declared = {each.name.lower() for each in wanted}
    for column in wanted:
        old = there.get(column.name.lower())
        if old is None:
            yield Difference(Kind.ADD, (*path, column.name), None, _shown(column), column, (*steps, column.name))
        else:
            yield from _column(column, old, (*path, old.name), (*steps, old.name), told)
    for each in found:
        if each.name.lower() not in declared:
            yield Difference(Kind.DROP, (*path, each.name), _shown(each), None, None, (*steps, each.name))


def _column(column: Column, old: Column, path: Path, steps: Path, told: bool) -> Iterator[Difference]:
    if column.repeated != old.repeated or (column.type == STRUCT) != (old.type == STRUCT):
        yield Difference(Kind.CHANGE_TYPE, path, old.sql_type, column.sql_type, column, steps)
        return
    if column.type != old.type:
        kind = Kind.WIDEN if widens(old.type, column.type) else Kind.CHANGE_TYPE
        yield Difference(kind, path, old.sql_type, column.sql_type, column, steps)
    elif column.generated != old.generated:
        yield Difference(Kind.CHANGE_TYPE, path, old.generated or "stored", column.generated or "stored", column, steps)
    if told and column.required != old.required:
        kind = Kind.REQUIRE if column.required else Kind.RELAX
        yield Difference(kind, path, old.mode, column.mode, column, steps)
    # What an engine doesn't tell of a record's fields can't be compared.
    if column.description != old.description and (told or len(path) == 1):
        yield Difference(Kind.COMMENT, path, old.description, column.description, column, steps)
    if column.default != old.default:
        yield Difference(Kind.DEFAULT, path, old.default, column.default, column, steps)
    if column.type == STRUCT:
        inner = (*steps, "element") if column.repeated else steps
        yield from _columns(column.fields, old.fields, path, inner, told)


def _shown(column: Column) -> str:
    return f"{column.sql_type}{' REQUIRED' if column.required else ''}"

"""Databricks SQL that reads and writes rows, as text, pure: every name quoted, every value a parameter.

Only where the grammar takes no parameter (names, versions) is something written
into the text, and then quoted or a number.
"""

# ruff: noqa: S608 (to build SQL is what this file is for)

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from lakeflow_job_meta.model.table import Column, Row, TableName, TableSpec
from lakeflow_job_meta.store.edits import ACTION
from lakeflow_job_meta.store.engine_errors import MOVED
from lakeflow_job_meta.store.table_statements import full_name, listed, literal, quoted
from lakeflow_job_meta.store.values import arrived, json_type, stored, travelling

Where = Mapping[str, Sequence[Any]]

HASH = "__lakeflow_hash"
"""The column of a read whose rows are to be decided on: what the engine makes of the whole row."""

FEW = 20
"""So many values of one column are a parameter each, which the engine can skip files by; more travel as one JSON."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement and the values of its `:name` markers."""

    text: str
    parameters: Mapping[str, Any]


def detail(table: TableName) -> str:
    """Asks for the table's id and properties."""
    return f"DESCRIBE DETAIL {full_name(table)}"


def describe(table: TableName) -> str:
    """Asks for the table's columns and their defaults."""
    return f"DESCRIBE TABLE EXTENDED {full_name(table)}"


def history(table: TableName, limit: int) -> str:
    """Asks for the newest commits."""
    return f"DESCRIBE HISTORY {full_name(table)} LIMIT {limit:d}"


def select(table: TableName, version: int, *, columns: Sequence[str] | None = None, where: Where | None = None) -> Sql:
    """Reads rows of one version."""
    text, parameters = _predicate(where or {})
    asked = "*" if columns is None else listed(columns)
    return Sql(f"SELECT {asked} FROM {full_name(table)} VERSION AS OF {version:d} WHERE {text}", parameters)


def select_to_decide(table: TableName, version: int, where: Where) -> Sql:
    """Reads rows of one version, each with its HASH."""
    text, parameters = _predicate(where)
    return Sql(
        f"SELECT *, {_hash('*')} AS {quoted(HASH)} FROM {full_name(table)} VERSION AS OF {version:d} WHERE {text}",
        parameters,
    )


def feed(table: TableName, since: int, until: int | None, where: Where | None = None) -> Sql:
    """Reads the change feed of the versions from `since` to `until`, both included, or to the newest."""
    text, parameters = _predicate(where or {})
    ends = "" if until is None else f", {until:d}"
    return Sql(
        f"SELECT * FROM table_changes({literal(full_name(table))}, {since:d}{ends}) WHERE {text}",
        parameters,
    )


def insert(table: TableName, columns: Sequence[Column], rows: Sequence[Row]) -> Sql:
    """Adds rows."""
    names = [each.name for each in columns]
    values = ", ".join(arrived(column, f"s.c{position}") for position, column in enumerate(columns))
    return Sql(
        f"INSERT INTO {full_name(table)} ({listed(names)})\nSELECT {values} FROM ({_unpacked(columns, {})}) AS s",
        {"rows": _packed(columns, rows, {})},
    )


@dataclass(frozen=True, slots=True)
class Decided:
    """What was read and what it made somebody decide.

    `hashes` are those of all rows that were read, by key; `read_columns` the columns in the table's own order; `edits`
    as `edits.edits_of` gives them; `columns` those that are written.
    """

    spec: TableSpec
    where: Where
    hashes: Mapping[tuple[Any, ...], Sequence[str]]
    read_columns: Sequence[str]
    columns: Sequence[Column]
    edits: Sequence[Row]


def merge(decided: Decided) -> Sql:
    """Writes all edits, or none where the rows are not as they were read: the statement then fails with MOVED.

    Two guards look at the version that the statement itself runs on. The rows of the scope, counted by the hashes of
    all of them, are those that were read: so nothing that was decided on changed, also what isn't written. And each row
    that is changed has one of the hashes that were read under its key, a row that is added has no other of its key:
    that holds even where an engine reads the scope from another version than the rows that it changes.

    What commits after that version is Delta's business, and what it lets through does no harm:

    - Who changes or deletes a row that we change or delete, is refused, or we are: under each of Delta's isolation
      levels, and where Databricks tells conflicts by rows instead of files too.
    - Under WriteSerializable a blind INSERT doesn't conflict with us. Had it come just after us, all would be as it is
      now; who inserts without reading can't mind. The next read sees its rows.
    - Two of our own writes that change no row in common could slip past each other only where conflicts are told by
      rows (deletion vectors, no partitions), each deciding on what the other one changes. The state table is
      partitioned, so conflicts there are told by files; and every write of it changes the lease's row.
    """
    spec = decided.spec
    scope, parameters = _predicate(decided.where)
    narrowed, more = _predicate(_narrowed(decided), alias="t", start="p")
    values = {column.name: arrived(column, f"s.c{number}") for number, column in enumerate(decided.columns)}
    required = {column.name for column in spec.columns if column.required}
    same = [f"t.{quoted(name)} {'=' if name in required else '<=>'} {values[name]}" for name in spec.key]
    lines = [
        f"MERGE INTO {full_name(spec.name)} AS t",
        f"USING (SELECT r.*, CASE WHEN g.digest = :digest THEN true ELSE {_MOVED} END AS ok",
        f"  FROM ({_unpacked(decided.columns, _GUARDS)}) AS r",
        f"  CROSS JOIN (SELECT {_DIGEST} AS digest FROM (SELECT {_hash('*')} AS h",
        f"    FROM {full_name(spec.name)} WHERE {scope})) AS g) AS s",
        f"ON {' AND '.join([*same, narrowed, 's.ok'])}",
        *_clauses(decided, values),
    ]
    extra = {
        "action": [str(edit[ACTION]) for edit in decided.edits],
        "was": [list(decided.hashes.get(tuple(edit[name] for name in spec.key), ())) for edit in decided.edits],
    }
    rows = _packed(decided.columns, decided.edits, extra)
    return Sql("\n".join(lines), {**parameters, **more, "digest": digest(decided.hashes), "rows": rows})


def _clauses(decided: Decided, values: Mapping[str, str]) -> list[str]:
    """What happens to a row that is there, and to one that isn't: what was decided, or an error."""
    key, actions = decided.spec.key, {edit[ACTION] for edit in decided.edits}
    whole = _hash(", ".join(f"t.{quoted(name)}" for name in decided.read_columns))
    if_as_read = f"WHEN MATCHED AND s.ok AND array_contains(s.was, {whole})"
    assigned = ", ".join(f"t.{quoted(name)} = {value}" for name, value in values.items() if name not in key)
    inserted = {**values, key[0]: f"CASE WHEN s.ok AND s.action = 'insert' THEN {values[key[0]]} ELSE {_MOVED} END"}
    clauses: list[str] = []
    if "update" in actions and assigned:
        clauses.append(f"{if_as_read} AND s.action = 'update' THEN UPDATE SET {assigned}")
    if "delete" in actions:
        clauses.append(f"{if_as_read} AND s.action = 'delete' THEN DELETE")
    return [
        *clauses,
        f"WHEN MATCHED THEN UPDATE SET t.{quoted(key[0])} = {_MOVED}",
        f"WHEN NOT MATCHED THEN INSERT ({listed(inserted)}) VALUES ({', '.join(inserted.values())})",
    ]


_MOVED = f"raise_error({literal(MOVED)})"
_GUARDS = {"action": "string", "was": "array<string>"}
_DIGEST = "sha2(concat_ws(',', sort_array(collect_list(h))), 256)"


def digest(hashes: Mapping[Any, Sequence[str]]) -> str:
    """What `_DIGEST` gives for rows of these hashes."""
    listed = sorted(each for some in hashes.values() for each in some)
    return hashlib.sha256(",".join(listed).encode()).hexdigest()


def _hash(columns: str) -> str:
    # As JSON, since a hash of several columns would take a value that moved to the next column for the same.
    return f"sha2(to_json(struct({columns})), 256)"


def _narrowed(decided: Decided) -> Where:
    """What the rows to be changed have in common: files of other rows are then not even looked at, and writes in other
    partitions don't conflict."""
    written = {
        name: list(dict.fromkeys(edit[name] for edit in decided.edits))
        for name in decided.spec.partition_by
        if name in decided.spec.key
    }
    return {**decided.where, **{name: values for name, values in written.items() if len(values) <= FEW}}


def _unpacked(columns: Sequence[Column], guards: Mapping[str, str]) -> str:
    fields = [f"{name}: {kind}" for name, kind in guards.items()]
    fields += [f"c{position}: {json_type(column)}" for position, column in enumerate(columns)]
    return f"SELECT inline(from_json(:rows, 'array<struct<{', '.join(fields)}>>'))"


def _packed(columns: Sequence[Column], rows: Sequence[Row], extra: Mapping[str, Sequence[Any]]) -> str:
    packed: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        entry = {name: values[number] for name, values in extra.items()}
        for position, column in enumerate(columns):
            value = stored(column, row.get(column.name))
            if value is not None:
                entry[f"c{position}"] = travelling(column, value)
        packed.append(entry)
    return json.dumps(packed, separators=(",", ":"))


def _predicate(where: Where, *, alias: str = "", start: str = "w") -> tuple[str, dict[str, Any]]:
    """Rows whose columns hold one of the listed values, as a condition and its parameters."""
    parameters: dict[str, Any] = {}
    conditions: list[str] = []
    numbers = count()
    for name, values in where.items():
        column = f"{alias}.{quoted(name)}" if alias else quoted(name)
        given = [value for value in values if value is not None]
        choices = [f"{column} IS NULL"] if len(given) < len(values) else []
        if len(given) > FEW:
            marker = f"{start}{next(numbers)}"
            parameters[marker] = json.dumps(given)
            kind = "string" if all(isinstance(value, str) for value in given) else "bigint"
            choices.append(f"array_contains(from_json(:{marker}, 'array<{kind}>'), {column})")
        elif given:
            markers = [f"{start}{next(numbers)}" for _ in given]
            parameters.update(zip(markers, given, strict=True))
            choices.append(f"{column} IN ({', '.join(f':{marker}' for marker in markers)})")
        conditions.append(f"({' OR '.join(choices)})" if choices else "false")
    return " AND ".join(conditions) or "true", parameters

"""Statements told by their first words: SHOW, DESCRIBE, RESTORE, OPTIMIZE, VACUUM."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from deltalake.exceptions import DeltaError
from sqlglot import Expr
from sqlglot.tokenizer_core import TokenType

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.layout import sort_order
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store.arrow import EPOCH, values_of
from lakeflow_job_meta.store.clustering import clustering_of
from lakeflow_job_meta.store.delta_schema import columns_of
from lakeflow_job_meta.store.delta_tables import DeltaTables
from lakeflow_job_meta.store.sql.dialect import Embedded, Statement
from lakeflow_job_meta.store.sql.names import parse_name
from lakeflow_job_meta.store.sql.query import all_tables, known, past, timestamp
from lakeflow_job_meta.store.sql.session import Session

Rows = list[dict[str, Any]]
_NO_NAME = "the name of a table is missing"


def take_name(statement: Statement, start: int) -> tuple[TableName, int]:
    """The table named from this token on, and where the rest of the statement starts.

    Raises:
        SqlError: no name there, or not one of three parts.
    """
    parts: list[str] = []
    position = start
    tokens = statement.tokens
    while position < len(tokens):
        parts.append(tokens[position].text)
        if position + 1 >= len(tokens) or tokens[position + 1].token_type is not TokenType.DOT:
            break
        position += 2
    if not parts:
        raise SqlError(f"{statement.where()}: {_NO_NAME}", hint="write catalog.schema.table")
    return parse_name(".".join(parts), parts), position + 1


def show(tables: DeltaTables, session: Session, statement: Statement) -> Rows:
    """SHOW TABLES [IN catalog.schema], SHOW SCHEMAS [IN catalog], SHOW CATALOGS."""
    what, rest = statement.words[1:2], statement.words[2:]
    place = [word.lower() for word in rest[1:] if word != "."]
    if rest and (rest[0] not in {"IN", "FROM"} or len(rest) != 2 * len(place)):
        raise SqlError(f"SHOW {' '.join(statement.words[1:])} isn't supported", hint="SHOW TABLES IN catalog.schema")
    if what == ("TABLES",):
        found = [name for name in all_tables(tables) if [name.catalog, name.schema][: len(place)] == place]
        return [{"catalog": each.catalog, "database": each.schema, "tableName": each.name} for each in found]
    if what in {("SCHEMAS",), ("DATABASES",)}:
        folders = sorted(folder.parts[-2:] for folder in tables.root.glob("[!.]*/*") if folder.is_dir())
        return [{"catalog": one, "databaseName": two} for one, two in folders if [one][: len(place)] == place]
    if what == ("CATALOGS",) and not rest:
        return [{"catalog": each.name} for each in sorted(tables.root.glob("[!.]*")) if each.is_dir()]
    raise SqlError(f"SHOW {' '.join(statement.words[1:])} isn't supported by the embedded store")


def describe(tables: DeltaTables, session: Session, statement: Statement) -> Rows:
    """DESCRIBE [TABLE] [EXTENDED], DESCRIBE HISTORY … [LIMIT n], DESCRIBE DETAIL."""
    words = statement.words
    kind, start = "TABLE", 1
    if len(words) > 2 and words[2] != ".":
        kind, start = words[1], 2
        if kind == "TABLE" and words[2] == "EXTENDED":
            kind, start = "EXTENDED", 3
    if kind not in _DESCRIBED:
        raise SqlError(f"DESCRIBE {kind} isn't supported by the embedded store")
    name, after = take_name(statement, start)
    return _DESCRIBED[kind](tables, name, statement.words[after:])


def _describe_table(tables: DeltaTables, name: TableName, rest: Sequence[str]) -> Rows:
    _nothing_more("DESCRIBE TABLE", rest)
    with known(tables, name), tables.latest(name) as opened:
        return [
            {
                "col_name": column.name,
                "data_type": column.sql_type.lower(),
                "comment": column.description or None,
            }
            for column in columns_of(opened)
        ]


def _describe_extended(tables: DeltaTables, name: TableName, rest: Sequence[str]) -> Rows:
    detail = _describe_detail(tables, name, rest)[0]
    shown = {"Name": str(name), "Location": detail["location"], "Comment": detail["description"]}
    shown["Table Properties"] = ", ".join(f"{key}={value}" for key, value in sorted(detail["properties"].items()))
    rows = [{"col_name": key, "data_type": value, "comment": None} for key, value in shown.items()]
    with known(tables, name), tables.latest(name) as opened:
        defaults = {column.name: column.default for column in columns_of(opened) if column.default is not None}
    rows += [{"col_name": f"Default of {key}", "data_type": value, "comment": None} for key, value in defaults.items()]
    heading = {"col_name": "# Detailed Table Information", "data_type": None, "comment": None}
    return [*_describe_table(tables, name, ()), heading, *rows]


def _describe_detail(tables: DeltaTables, name: TableName, rest: Sequence[str]) -> Rows:
    _nothing_more("DESCRIBE DETAIL", rest)
    with known(tables, name), tables.latest(name) as opened:
        metadata, protocol = opened.metadata(), opened.protocol()
        sizes: Sequence[int] = values_of(opened.get_add_actions(flatten=True).column("size_bytes"))
        entry = opened.history(1)[0]
        return [
            {
                "format": "delta",
                "id": str(metadata.id),
                "name": str(name),
                "description": metadata.description,
                "location": str(tables.folder(name)),
                "createdAt": EPOCH + timedelta(milliseconds=metadata.created_time),
                "lastModified": EPOCH + timedelta(milliseconds=int(entry.get("timestamp", 0))),
                "partitionColumns": metadata.partition_columns,
                "clusteringColumns": list(clustering_of(metadata.configuration)),
                "numFiles": len(sizes),
                "sizeInBytes": sum(sizes),
                "properties": dict(metadata.configuration),
                "minReaderVersion": protocol.min_reader_version,
                "minWriterVersion": protocol.min_writer_version,
            }
        ]


def _describe_history(tables: DeltaTables, name: TableName, rest: Sequence[str]) -> Rows:
    limit = None
    if rest:
        if len(rest) != 2 or rest[0] != "LIMIT" or not rest[1].isdigit():
            _nothing_more("DESCRIBE HISTORY", rest)
        limit = int(rest[1])
    with known(tables, name), tables.latest(name) as opened:
        return [
            {
                "version": entry["version"],
                "timestamp": EPOCH + timedelta(milliseconds=int(entry.get("timestamp", 0))),
                "userName": entry.get("userName"),
                "operation": entry.get(delta.OPERATION) or entry.get("operation"),
                "operationParameters": _parameters(entry.get("operationParameters") or {}),
                "readVersion": entry.get("readVersion"),
                "operationMetrics": entry.get("operationMetrics") or {},
            }
            for entry in opened.history(limit)
        ]


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the commit says of itself, without the predicates over our own edit's columns, and without the schema: that
    is what DESCRIBE shows."""
    if "metadata" in given:
        made = json.loads(given["metadata"])
        return {
            "partitionBy": json.dumps(made["partitionColumns"]),
            "description": made["description"],
            "properties": json.dumps(made["configuration"]),
        }
    return {name: value for name, value in given.items() if delta.ACTION not in str(value)}


_DESCRIBED: dict[str, Callable[[DeltaTables, TableName, Sequence[str]], Rows]] = {
    "TABLE": _describe_table,
    "EXTENDED": _describe_extended,
    "DETAIL": _describe_detail,
    "HISTORY": _describe_history,
}


def _nothing_more(what: str, rest: Sequence[str]) -> None:
    if rest:
        raise SqlError(f"{what} … {' '.join(rest)} isn't supported by the embedded store")


def restore(tables: DeltaTables, session: Session, statement: Statement) -> Rows:
    """RESTORE [TABLE] name [TO] VERSION AS OF n | TIMESTAMP AS OF expression."""
    name, after = take_name(statement, 2 if statement.words[1:2] == ("TABLE",) else 1)
    rest = statement.words[after:]
    if rest[:1] == ("TO",):
        after, rest = after + 1, rest[1:]
    if rest[1:3] != ("AS", "OF") or rest[0] not in {"VERSION", "TIMESTAMP"} or len(rest) < 4:
        raise SqlError("RESTORE needs a version", hint="RESTORE TABLE c.s.t TO VERSION AS OF 3")
    if rest[0] == "VERSION":
        if not rest[3].isdigit() or len(rest) > 4:
            raise SqlError(f"'{' '.join(rest[3:])}' is not a version number")
        target = int(rest[3])
    else:
        tree = Embedded().parser().parse(list(statement.tokens[after + 3 :]), statement.text)[0]
        target = past(tables, name, timestamp(session, cast("Expr", tree))).version()
    with known(tables, name), tables.latest(name) as opened:
        if target > opened.version():
            raise SqlError(f"{name} has no version {target}", hint=f"its newest version is {opened.version()}")
        return [dict(opened.restore(target, commit_properties=delta.commit_by("RESTORE")))]


def optimize(tables: DeltaTables, session: Session, statement: Statement) -> Rows:
    """OPTIMIZE name [ZORDER BY (columns)]; a table that is clustered is Z-ordered by those columns."""
    name, after = take_name(statement, 2 if statement.words[1:2] == ("TABLE",) else 1)
    rest = statement.words[after:]
    with known(tables, name), tables.latest(name) as opened:
        kept = clustering_of(opened.metadata().configuration)
        sorted_by = sort_order(opened.metadata().partition_columns, kept)
        if not rest and not sorted_by:
            metrics = opened.optimize.compact(commit_properties=delta.commit_by("OPTIMIZE", alone=False))
            return [{"path": str(tables.folder(name)), "metrics": metrics}]
        if rest and rest[:2] != ("ZORDER", "BY"):
            _nothing_more("OPTIMIZE", rest)
        listed = [token.text for token in statement.tokens[after + 2 :] if token.text not in {"(", ")", ","}]
        given = listed if rest else sorted_by
        known_columns = {column.name.lower(): column.name for column in columns_of(opened)}
        unknown = [each for each in given if each.lower() not in known_columns]
        if unknown or not given:
            raise SqlError(f"[UNRESOLVED_COLUMN] ZORDER BY: {name} has no column '{', '.join(unknown)}'")
        by = [known_columns[each.lower()] for each in given]
        metrics = opened.optimize.z_order(by, commit_properties=delta.commit_by("OPTIMIZE", alone=False))
        return [{"path": str(tables.folder(name)), "metrics": metrics}]


def vacuum(tables: DeltaTables, session: Session, statement: Statement) -> Rows:
    """VACUUM name [RETAIN n HOURS] [DRY RUN]."""
    name, after = take_name(statement, 2 if statement.words[1:2] == ("TABLE",) else 1)
    found = re.fullmatch(r"(?:RETAIN (\d+) HOURS?)? ?(DRY RUN)?", " ".join(statement.words[after:]))
    if not found:
        _nothing_more("VACUUM", statement.words[after:])
        return []
    hours = int(found[1]) if found[1] else None
    with known(tables, name), tables.latest(name) as opened:
        try:
            removed = opened.vacuum(hours, dry_run=bool(found[2]), commit_properties=delta.commit_by("", alone=False))
        except DeltaError as problem:
            if "retention period" not in str(problem):
                raise
            raise SqlError(
                f"[DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT] {name} keeps removed files longer than {hours} hours",
                hint="ALTER TABLE … SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')",
            ) from problem
    return [{"path": str(tables.folder(name) / each)} for each in removed]


STATEMENTS: dict[str, Callable[[DeltaTables, Session, Statement], Rows]] = {
    "SHOW": show,
    "DESCRIBE": describe,
    "DESC": describe,
    "RESTORE": restore,
    "OPTIMIZE": optimize,
    "VACUUM": vacuum,
}

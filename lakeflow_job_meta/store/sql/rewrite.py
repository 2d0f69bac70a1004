"""Where sqlglot's translation from Databricks to DuckDB isn't faithful: one rule for each kind of node."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import Expr, exp

from lakeflow_job_meta.errors import SqlError


def as_duckdb(tree: Expr, user: str) -> Expr:
    """The tree with nodes that DuckDB understands as Databricks does. `user` is who asks."""
    # The root needs a parent to be replaced itself.
    whole = exp.Paren(this=tree.copy())
    # Inner nodes first: what a rule puts in the place of an outer one holds them as they are then.
    for node in reversed(list(whole.find_all(*_RULES, *_USERS))):
        new = exp.Literal.string(user) if _is_user(node) else _RULES[type(node)](node)
        if new is not node:
            _ = node.replace(new)
    return whole.this.pop()


def _is_user(node: Expr) -> bool:
    return isinstance(node, _USERS) or (isinstance(node, exp.Anonymous) and node.name.lower() == "user")


def _json_text(node: Expr) -> Expr:
    """`->>` binds so loosely in DuckDB that `a:b = 'x'` means something else; and bad JSON is NULL, not an error."""
    path = node.args["expression"]
    if isinstance(path, exp.JSONPath) and path.find(exp.JSONPathWildcard):
        raise SqlError("a JSON path with * isn't supported by the embedded store", hint="name the element: $.a[0]")
    text = path.sql("duckdb").strip("'") if isinstance(path, exp.JSONPath) else None
    return exp.Anonymous(
        this="lf_json", expressions=[node.this, path if text is None else exp.Literal.string(text.replace("''", "'"))]
    )


def _uuid(_: Expr) -> Expr:
    return exp.cast(exp.Anonymous(this="uuid"), "TEXT")


def _now(_: Expr) -> Expr:
    """A call: the keyword would mean the column where one has its name, also one that the statement makes itself."""
    return exp.Anonymous(this="now")


def _today(_: Expr) -> Expr:
    return exp.Anonymous(this="today")


def _local_now(_: Expr) -> Expr:
    return exp.cast(exp.Anonymous(this="now"), "TIMESTAMPNTZ")


def _time_zone(_: Expr) -> Expr:
    return exp.Literal.string("UTC")


def _date(node: Expr) -> Expr:
    """Adding days to a date gives a date in Databricks, a timestamp in DuckDB."""
    return exp.cast(node.copy(), "DATE")


def _unix_time(node: Expr) -> Expr:
    """Whole seconds; what has no format of its own is a timestamp, or text that reads as one."""
    given = node.args.get("format")
    if given is not None and given.name != _USUAL_FORMAT:
        return exp.cast(node.copy(), "BIGINT")
    moment = exp.Anonymous(this="now") if node.this is None else exp.cast(node.this, "TIMESTAMPTZ")
    return exp.cast(exp.Floor(this=exp.Anonymous(this="epoch", expressions=[moment])), "BIGINT")


def _cast(node: Expr) -> Expr:
    """Databricks cuts the fraction off where DuckDB rounds, and writes a timestamp without its zone."""
    macro = _CASTS.get(node.args["to"].this)
    if macro is not None:
        node.set("this", exp.Anonymous(this=macro, expressions=[node.this]))
    return node


def _replacement(node: Expr) -> Expr:
    """`$1` is the group in Java's expressions, `\\1` in DuckDB's."""
    given = node.args.get("replacement")
    if isinstance(given, exp.Literal):
        node.set("replacement", exp.Literal.string(re.sub(r"\$(\d)", r"\\\1", given.this.replace("\\", "\\\\"))))
    return node


def _refused(node: Expr) -> Expr:
    name = (node.name if isinstance(node, exp.Anonymous) or not isinstance(node, exp.Func) else node.sql_name()).lower()
    if name in _OTHER_MEANING:
        raise SqlError(f"the function {name} isn't supported by the embedded store", hint=_WHY_NOT.get(name, ""))
    return node


_CASTS = {exp.DataType.Type[name]: "lf_whole" for name in ("TINYINT", "SMALLINT", "INT", "BIGINT")} | {
    exp.DataType.Type[name]: "lf_text" for name in ("TEXT", "VARCHAR")
}
_USERS = (exp.CurrentUser, exp.SessionUser)
_USUAL_FORMAT = "%Y-%mstrict-%dstrict %Hstrict:%Mstrict:%Sstrict"
"""sqlglot's spelling of `yyyy-MM-dd HH:mm:ss`, which unix_timestamp has where none is given."""
_PLACES = ("current_catalog", "current_database", "current_schema")
_OTHER_MEANING = frozenset(
    {"from_json", "hash", "xxhash64", "typeof", "schema_of_json", "version", "current_version", *_PLACES}
)
"""Functions that DuckDB has too, but with another result."""
_WHY_NOT: dict[str, str] = dict.fromkeys(_PLACES, "it has no current catalog or schema: names have three parts")

_RULES: dict[type[Expr], Callable[[Expr], Expr]] = {
    exp.JSONExtract: _json_text,
    exp.JSONExtractScalar: _json_text,
    exp.Uuid: _uuid,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.RegexpReplace: _replacement,
    exp.Anonymous: _refused,
    exp.FromJson: _refused,
    exp.Typeof: _refused,
    exp.StrToUnix: _unix_time,
    exp.CurrentTimestamp: _now,
    exp.CurrentDate: _today,
    exp.Localtimestamp: _local_now,
    exp.CurrentTimezone: _time_zone,
    exp.CurrentCatalog: _refused,
    exp.CurrentDatabase: _refused,
    exp.CurrentSchema: _refused,
    exp.CurrentVersion: _refused,
    exp.TsOrDsAdd: _date,
}

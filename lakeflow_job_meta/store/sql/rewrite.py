"""Where sqlglot's translation from Databricks to DuckDB isn't faithful: one rule for each kind of node."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import Expr, exp

from lakeflow_job_meta.errors import SqlError


def as_duckdb(tree: Expr, user: str) -> Expr:
    """The tree with nodes that DuckDB understands as Databricks does. `user` is who asks."""
    whole = tree.transform(_node, copy=True)
    for node in list(whole.find_all(exp.CurrentUser, exp.SessionUser)):
        if node.parent is None:
            return exp.Literal.string(user)
        _ = node.replace(exp.Literal.string(user))
    return whole


def _node(node: Expr) -> Expr:
    rule = _RULES.get(type(node))
    return rule(node) if rule else node


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


def _unix_now(node: Expr) -> Expr:
    if node.this is None or isinstance(node.this, exp.CurrentTimestamp):
        return exp.cast(exp.Anonymous(this="epoch", expressions=[exp.CurrentTimestamp()]), "BIGINT")
    return node


def _cast(node: Expr) -> Expr:
    """Databricks cuts the fraction off where DuckDB rounds."""
    if node.args["to"].this in _WHOLE:
        node.set("this", exp.Anonymous(this="lf_whole", expressions=[node.this]))
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
        raise SqlError(f"the function {name} isn't supported by the embedded store")
    return node


_WHOLE = frozenset(exp.DataType.Type[name] for name in ("TINYINT", "SMALLINT", "INT", "BIGINT"))
_OTHER_MEANING = frozenset({"from_json", "hash", "xxhash64", "typeof", "schema_of_json"})
"""Functions that DuckDB has too, but with another result."""

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
    exp.StrToUnix: _unix_now,
}

"""Where sqlglot's translation from Databricks to DuckDB isn't faithful: one rule for each kind of node."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from sqlglot import exp

_WHOLE = {
    exp.DataType.Type.TINYINT: "TINYINT",
    exp.DataType.Type.SMALLINT: "SMALLINT",
    exp.DataType.Type.INT: "INT",
    exp.DataType.Type.BIGINT: "BIGINT",
}


def as_duckdb(tree: exp.Expression, user: str) -> exp.Expression:
    """The tree with nodes that DuckDB understands as Databricks does. `user` is who asks."""
    whole = cast("exp.Expression", tree.transform(_node, copy=True))
    for node in list(whole.find_all(exp.CurrentUser, exp.SessionUser)):
        replaced = exp.alias_(exp.Literal.string(user), "current_user") if _is_projection(node) else exp.Literal.string(user)
        if node.parent is None:
            return replaced
        _ = node.replace(replaced)
    return whole


def _is_projection(node: exp.Expression) -> bool:
    return isinstance(node.parent, exp.Select) and node.arg_key == "expressions"


def _node(node: exp.Expression) -> exp.Expression:
    rule = _RULES.get(type(node))
    return rule(node) if rule else node


def _json_text(node: exp.Expression) -> exp.Expression:
    """`->>` binds so loosely in DuckDB that `a:b = 'x'` means something else; and bad JSON is NULL, not an error."""
    path = node.args["expression"]
    text = path.sql("duckdb").strip("'") if isinstance(path, exp.JSONPath) else None
    return exp.Anonymous(
        this="lf_json", expressions=[node.this, path if text is None else exp.Literal.string(text.replace("''", "'"))]
    )


def _uuid(_: exp.Expression) -> exp.Expression:
    return exp.cast(exp.Anonymous(this="uuid"), "TEXT")


def _cast(node: exp.Expression) -> exp.Expression:
    kind = node.args["to"]
    # The cast on the outside stays DuckDB's: it is the one that refuses what is no number, or too big.
    if kind.this in _WHOLE and not isinstance(node.this, exp.Literal | exp.Column | exp.Placeholder):
        return node
    return node


def _unix_now(node: exp.Expression) -> exp.Expression:
    if node.this is None or isinstance(node.this, exp.CurrentTimestamp):
        return exp.cast(exp.Anonymous(this="epoch", expressions=[exp.CurrentTimestamp()]), "BIGINT")
    return node


_RULES: dict[type[exp.Expression], Callable[[exp.Expression], exp.Expression]] = {
    exp.JSONExtract: _json_text,
    exp.JSONExtractScalar: _json_text,
    exp.Uuid: _uuid,
    exp.StrToUnix: _unix_now,
}

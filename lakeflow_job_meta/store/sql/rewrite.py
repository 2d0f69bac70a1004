"""Where sqlglot's translation from Databricks to DuckDB isn't faithful: one rule for each kind of node."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import Expr, exp


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


_RULES: dict[type[Expr], Callable[[Expr], Expr]] = {
    exp.JSONExtract: _json_text,
    exp.JSONExtractScalar: _json_text,
    exp.Uuid: _uuid,
    exp.StrToUnix: _unix_now,
}

"""`IDENTIFIER(…)`: a name given as text or as a parameter, put in its place before the statement is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from sqlglot.tokenizer_core import Token, TokenType

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.store.sql.dialect import Statement

CALL = "IDENTIFIER"
NAME = re.compile(r"(?:`[^`]+`|\w+)(?:\.(?:`[^`]+`|\w+))*")
PART = re.compile(r"`([^`]+)`|(\w+)")


def with_identifiers(statement: Statement, parameters: Mapping[str, Any]) -> Statement:
    """The statement with each `IDENTIFIER(…)` replaced by the quoted name that it stands for.

    Args:
        statement: Any; one without such a call is returned as it is.
        parameters: The values of `:name` markers.

    Raises:
        SqlError: what stands between the brackets isn't made of texts and parameters, or isn't a name.
    """
    if not statement.calls(CALL):
        return statement
    return replace(statement, tokens=tuple(_replaced(statement, parameters)))


def _replaced(statement: Statement, parameters: Mapping[str, Any]) -> Iterator[Token]:
    tokens, position = statement.tokens, 0
    while position < len(tokens):
        if _begins(tokens, position):
            end = next((at for at in range(position, len(tokens)) if tokens[at].token_type is TokenType.R_PAREN), None)
            if end is None:
                raise SqlError(f"[PARSE_SYNTAX_ERROR] {statement.where()}: IDENTIFIER( isn't closed")
            name = "".join(_texts(statement, tokens[position + 2 : end], parameters))
            yield from _tokens_of(statement, name, tokens[position], tokens[end])
            position = end + 1
        else:
            yield tokens[position]
            position += 1


def _begins(tokens: Sequence[Token], position: int) -> bool:
    return any(
        one.text.upper() == CALL and one.token_type is TokenType.VAR and two.token_type is TokenType.L_PAREN
        for one, two in pairwise(tokens[position : position + 2])
    )


def _texts(statement: Statement, tokens: Sequence[Token], parameters: Mapping[str, Any]) -> Iterator[str]:
    """The parts between the brackets: texts and parameters with `||` between them."""
    left = list(tokens)
    while left:
        first = left.pop(0)
        if first.token_type is TokenType.STRING:
            yield first.text
        elif first.token_type is TokenType.COLON and left:
            yield _value(left.pop(0).text, parameters)
        else:
            break
        if left and left[0].token_type is TokenType.DPIPE and len(left) > 1:
            _ = left.pop(0)
        elif left:
            break
    else:
        if tokens:
            return
    raise SqlError(
        f"{statement.where()}: IDENTIFIER(…) of anything but texts and parameters isn't supported",
        hint="write IDENTIFIER(:name), IDENTIFIER('catalog.schema.table'), or put parts together with ||",
    )


def _value(name: str, parameters: Mapping[str, Any]) -> str:
    if name not in parameters:
        hint = nearest(name, parameters) or "pass the values as a dict of names"
        raise SqlError(f"[UNBOUND_SQL_PARAMETER] no value for the parameter :{name}", hint=hint)
    value = parameters[name]
    if not isinstance(value, str):
        raise SqlError(f"IDENTIFIER(:{name}): expected text, got {type(value).__name__}")
    return value


def _tokens_of(statement: Statement, name: str, first: Token, last: Token) -> Iterator[Token]:
    if not NAME.fullmatch(name):
        raise SqlError(f"{statement.where()}: '{name}' is not a name", hint="write catalog.schema.table")
    for number, part in enumerate(PART.finditer(name)):
        if number:
            yield Token(TokenType.DOT, ".", first.line, first.col, first.start, last.end)
        yield Token(TokenType.IDENTIFIER, part[1] or part[2], first.line, first.col, first.start, last.end)

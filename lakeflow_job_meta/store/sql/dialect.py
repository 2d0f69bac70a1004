"""Databricks SQL as text: tokens, statements, syntax trees, and what sqlglot reads differently than Databricks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn, cast

from sqlglot import Expr, exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from lakeflow_job_meta.errors import SqlError


class Embedded(Databricks):
    """Databricks' dialect, with the strings that sqlglot reads wrongly and without its silent fall-back."""

    class Tokenizer(Databricks.Tokenizer):
        # sqlglot reads 'it''s' as two strings side by side.
        STRING_ESCAPES = ["\\", "'"]  # noqa: RUF012 (the base class declares it so)
        # It takes all that follows SHOW, OPTIMIZE, VACUUM as one token.
        COMMANDS = set[TokenType]()  # noqa: RUF012

    class Parser(Databricks.Parser):
        def _warn_unsupported(self) -> NoReturn:
            self.raise_error("this form of the statement isn't supported by the embedded store")
            raise AssertionError


_SCHEMA_EVOLUTION = ("MERGE", "WITH", "SCHEMA", "EVOLUTION")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a text: its tokens, and where it starts."""

    text: str
    tokens: tuple[Token, ...]
    number: int

    @property
    def words(self) -> tuple[str, ...]:
        """The tokens' texts in upper case, for statements that are told by their first words."""
        return tuple(token.text.upper() for token in self.tokens)

    def calls(self, function: str) -> bool:
        """Whether a function of this name, in upper case, is called anywhere."""
        return any(
            one.text.upper() == function and one.token_type is TokenType.VAR and two.token_type is TokenType.L_PAREN
            for one, two in pairwise(self.tokens)
        )

    def where(self) -> str:
        """`statement 2, line 5`, for messages."""
        return f"statement {self.number}, line {self.tokens[0].line}"


def statements(text: str) -> list[Statement]:
    """The statements of a text, split at `;` outside strings and comments.

    Raises:
        SqlError: a string or comment that doesn't end.
    """
    try:
        tokens = Embedded().tokenize(text)
    except TokenError as problem:
        raise SqlError("a string, a quoted name or a comment doesn't end", hint=str(problem)[:200]) from problem
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            parts.append([])
        else:
            parts[-1].append(token)
    return [
        Statement(text, tuple(_with_versions(part)), number)
        for number, part in enumerate((part for part in parts if part), start=1)
    ]


def _with_versions(tokens: Sequence[Token]) -> Iterator[Token]:
    """`t@v3` spelled out: sqlglot reads it as an alias."""
    position = 0
    while position < len(tokens):
        token = tokens[position]
        after = tokens[position + 1] if position + 1 < len(tokens) else None
        if token.text == "@" and after is not None and re.fullmatch(r"[vV]\d+", after.text):
            for kind, text in (
                (TokenType.VAR, "VERSION"),
                (TokenType.ALIAS, "AS"),
                (TokenType.VAR, "OF"),
                (TokenType.NUMBER, after.text[1:]),
            ):
                yield Token(kind, text, token.line, token.col, token.start, after.end)
            position += 2
        else:
            yield token
            position += 1


def parse(statement: Statement) -> Expr:
    """The statement as a syntax tree.

    Raises:
        SqlError: it isn't Databricks SQL, or a form that the embedded store doesn't know.
    """
    if statement.words[:4] == _SCHEMA_EVOLUTION:
        raise SqlError(f"{statement.where()}: MERGE WITH SCHEMA EVOLUTION isn't supported by the embedded store")
    try:
        trees = Embedded().parser().parse(list(statement.tokens), statement.text)
    except (ParseError, TokenError) as problem:
        raise SqlError(_syntax_message(statement, problem)) from problem
    tree = trees[0] if len(trees) == 1 else None
    if tree is None or isinstance(tree, exp.Command):
        raise SqlError(f"{statement.where()}: {first_words(statement)} isn't supported by the embedded store")
    return tree


def first_words(statement: Statement) -> str:
    """What the statement is, by its first two words."""
    return " ".join(statement.words[:2])


def _syntax_message(statement: Statement, problem: ParseError | TokenError) -> str:
    details = cast("list[dict[str, object]]", getattr(problem, "errors", []))
    if not details:
        return f"[PARSE_SYNTAX_ERROR] {statement.where()}: {problem}"
    first = details[0]
    near = str(first.get("highlight") or "").strip() or "the end of the statement"
    what = re.sub(r" but got <Token.*", "", str(first.get("description", ""))).rstrip(".")
    if what.startswith("Required keyword"):
        what = "something is missing"
    return f"[PARSE_SYNTAX_ERROR] line {first.get('line')}, column {first.get('col')}: {what}, near '{near}'"

"""Statements for an engine that speaks Databricks SQL itself: as written, but for the columns that it doesn't fill.

Only an INSERT that leaves out columns with a default, or the day that a table is partitioned by, and the INSERT of a
MERGE, get a few words more. All else is the engine's to understand or to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from lakeflow_job_meta.errors import InputError, SqlError
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.store.generated import day_text, source_of
from lakeflow_job_meta.store.sql.arity import filled_by
from lakeflow_job_meta.store.sql.dialect import Embedded, Statement, statements
from lakeflow_job_meta.store.statements import Sql, quoted

ColumnsOf = Callable[[TableName], Sequence[Column]]
_QUERIES = ("SELECT", "WITH", "(")


@dataclass(frozen=True, slots=True)
class Written:
    """One statement of a text, with the parameters that it names."""

    statement: Statement
    parameters: Mapping[str, Any]

    @property
    def where(self) -> str:
        """Which statement it is, for messages."""
        return self.statement.where()

    @property
    def text(self) -> str:
        """The statement alone, as it was written."""
        tokens = self.statement.tokens
        return self.statement.text[tokens[0].start : tokens[-1].end + 1]

    def completed(self, columns_of: ColumnsOf) -> Sql:
        """The statement as it is to be sent.

        Args:
            columns_of: the columns of a table, with their defaults.
        """
        tokens = self.statement.tokens
        start, end = tokens[0].start, tokens[-1].end + 1
        text = self.statement.text
        for edit in sorted(_edits(self.statement, columns_of), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
            end += len(edit.text) - (edit.end - edit.start)
        return Sql(text[start:end], self.parameters)


def statements_of(text: str, parameters: Mapping[str, Any]) -> list[Written]:
    """The statements of a text, split at `;` outside strings and comments.

    Raises:
        SqlError: a string or comment that doesn't end.
    """
    return [Written(each, {name: parameters[name] for name in _named(each, parameters)}) for each in statements(text)]


def _named(statement: Statement, parameters: Mapping[str, Any]) -> list[str]:
    marked = {two.text for one, two in pairwise(statement.tokens) if one.token_type is TokenType.COLON}
    return [name for name in parameters if name in marked]


@dataclass(frozen=True, slots=True, order=True)
class _Edit:
    """A piece of the text and what stands in its place."""

    start: int
    end: int
    text: str


class _NotOurs(Exception):
    """A form of the statement that is sent as it is."""


@dataclass(slots=True)
class _Reader:
    """Reads tokens one after the other."""

    tokens: Sequence[Token]
    position: int = 0

    @property
    def word(self) -> str:
        """The next token in upper case, empty at the end; never a string's or a quoted name's text."""
        if self.position >= len(self.tokens):
            return ""
        token = self.tokens[self.position]
        return "'" if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) else token.text.upper()

    def next(self) -> Token:
        if self.position >= len(self.tokens):
            raise _NotOurs
        self.position += 1
        return self.tokens[self.position - 1]

    def accept(self, *words: str) -> bool:
        """Go past the next token if it is one of these words."""
        found = self.word in words
        self.position += found
        return found

    def expect(self, *words: str) -> Token:
        if self.word not in words:
            raise _NotOurs
        return self.next()

    def table(self) -> TableName:
        """A name of three parts."""
        parts = [self.next().text]
        while self.accept("."):
            parts.append(self.next().text)
        try:
            return TableName.parse(".".join(parts))
        except InputError as problem:
            raise _NotOurs from problem

    def items(self) -> tuple[list[Sequence[Token]], Token]:
        """What stands between parentheses, split at commas, and the closing one."""
        _ = self.expect("(")
        items: list[list[Token]] = [[]]
        depth = 0
        while True:
            token = self.next()
            if token.token_type is TokenType.R_PAREN and not depth:
                return [*items], token
            depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
            if token.token_type is TokenType.COMMA and not depth:
                items.append([])
            else:
                items[-1].append(token)


def _edits(statement: Statement, columns_of: ColumnsOf) -> list[_Edit]:
    completed = {"INSERT": _insert, "MERGE": _merge}.get(statement.words[0])
    if completed is None:
        return []
    try:
        return completed(_Reader(statement.tokens), columns_of, statement.text)
    except _NotOurs:
        return []


def _insert(reader: _Reader, columns_of: ColumnsOf, text: str) -> list[_Edit]:
    _ = reader.next(), reader.expect("INTO", "OVERWRITE"), reader.accept("TABLE")
    table = reader.table()
    named_until = reader.tokens[reader.position - 1].end + 1
    listed, closing = None, None
    after = reader.tokens[reader.position + 1].text.upper() if reader.position + 1 < len(reader.tokens) else ""
    if reader.word == "(" and after not in ("SELECT", "WITH", "VALUES", "("):
        listed, closing = reader.items()
    if reader.word == "VALUES":
        _ = reader.next()
        rows = [reader.items()]
        while reader.accept(","):
            rows.append(reader.items())
        if reader.word:
            raise _NotOurs
        width = _only([len(items) for items, _ in rows])
    else:
        rows = []
        width = _width(reader, text) if listed is None else len(listed)
    goal = _goal(_columns(columns_of, table), listed, width)
    edits = _rows(rows, goal, text) if rows else _query(reader, goal)
    if not goal.added:
        return edits
    names = ", ".join(quoted(column.name) for column in goal.added)
    if closing is not None:
        return [*edits, _Edit(closing.start, closing.start, f", {names}")]
    given = ", ".join(quoted(column.name) for column in goal.given)
    return [*edits, _Edit(named_until, named_until, f" ({given}, {names})")]


def _merge(reader: _Reader, columns_of: ColumnsOf, text: str) -> list[_Edit]:
    _ = reader.next(), [reader.accept(word) for word in ("WITH", "SCHEMA", "EVOLUTION")], reader.expect("INTO")
    table = reader.table()
    edits: list[_Edit] = []
    while reader.word:
        if not reader.accept("INSERT") or reader.word != "(":
            reader.position += 1
            continue
        listed, closing = reader.items()
        _ = reader.expect("VALUES")
        row = reader.items()
        goal = _goal(_columns(columns_of, table), listed, len(row[0]))
        edits += _rows([row], goal, text)
        if goal.added:
            names = ", ".join(quoted(column.name) for column in goal.added)
            edits.append(_Edit(closing.start, closing.start, f", {names}"))
    return edits


@dataclass(frozen=True, slots=True)
class _Goal:
    """The columns that the values go to; those that get none, but have a default; and those that are another's day."""

    given: Sequence[Column]
    missing: Sequence[Column]
    days: Sequence[Column] = ()

    @classmethod
    def of(cls, given: Sequence[Column], columns: Sequence[Column]) -> _Goal:
        """The goal of values for the given ones of a table's columns."""
        missing = [each for each in columns if each not in given and each.default is not None]
        known = [*given, *missing]
        return cls(given, missing, [each for each in columns if each not in given and source_of(each, known)])

    @property
    def added(self) -> Sequence[Column]:
        """The columns that the statement gets beside its own."""
        return (*self.missing, *self.days)

    def further(self, values: Sequence[str]) -> str:
        """What goes into these, behind the values of the given ones."""
        known = (*self.given, *self.missing)
        defaults = [str(column.default) for column in self.missing]
        texts = {column.name: text for column, text in zip(known, (*values, *defaults), strict=True)}
        sources = [source for day in self.days if (source := source_of(day, known))]
        return "".join(f", {each}" for each in (*defaults, *(day_text(each, texts[each.name]) for each in sources)))


def _columns(columns_of: ColumnsOf, table: TableName) -> Sequence[Column]:
    try:
        return columns_of(table)
    except SqlError as problem:
        raise _NotOurs from problem  # a table of another kind


def _goal(columns: Sequence[Column], listed: Sequence[Sequence[Token]] | None, width: int) -> _Goal:
    if listed is None:
        given = filled_by(width, [each for each in columns if each.generated is None])
        if given is None:
            raise _NotOurs
        return _Goal.of(given, columns)
    by_name = {column.name.lower(): column for column in columns}
    names = ["".join(token.text for token in item).lower() for item in listed]
    if width != len(names) or any(name not in by_name for name in names):
        raise _NotOurs
    return _Goal.of([by_name[name] for name in names], columns)


def _rows(rows: Sequence[tuple[Sequence[Sequence[Token]], Token]], goal: _Goal, text: str) -> list[_Edit]:
    edits: list[_Edit] = []
    for items, closing in rows:
        values: list[str] = []
        for column, item in zip(goal.given, items, strict=True):
            if not item:
                raise _NotOurs
            is_default = len(item) == 1 and item[0].token_type is TokenType.DEFAULT
            if is_default and column.default is not None:
                edits.append(_Edit(item[0].start, item[0].end + 1, column.default))
            values.append((column.default or "NULL") if is_default else text[item[0].start : item[-1].end + 1])
        if goal.added:
            edits.append(_Edit(closing.start, closing.start, goal.further(values)))
    return edits


def _query(reader: _Reader, goal: _Goal) -> list[_Edit]:
    if not goal.added:
        return []
    if reader.word not in _QUERIES:
        raise _NotOurs
    start, end = reader.tokens[reader.position].start, reader.tokens[-1].end + 1
    names = [quoted(column.name) for column in goal.given]
    further = goal.further([f"s.{name}" for name in names])
    alias = f"s ({', '.join(names)})" if goal.days else "s"
    return [_Edit(start, start, f"SELECT s.*{further} FROM ("), _Edit(end, end, f") AS {alias}")]  # noqa: S608


def _width(reader: _Reader, text: str) -> int:
    """How many columns a query has."""
    if reader.word not in _QUERIES:
        raise _NotOurs
    try:
        (tree,) = Embedded().parser().parse(list(reader.tokens[reader.position :]), text)
    except (ParseError, SqlError, ValueError) as problem:
        raise _NotOurs from problem
    if not isinstance(tree, exp.Query) or any(each.is_star for each in tree.selects):
        raise _NotOurs
    return len(tree.selects)


def _only(widths: Sequence[int]) -> int:
    if len(set(widths)) != 1:
        raise _NotOurs
    return widths[0]

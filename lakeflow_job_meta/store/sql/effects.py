"""What statements write, told from their text alone: the same for every store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from sqlglot.tokenizer_core import TokenType

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.sql.dialect import Statement, statements

_Form = tuple[tuple[str, ...], tuple[str, ...]]

_FORMS: Mapping[str, Sequence[_Form]] = {
    "INSERT": [(("INTO", "TABLE"), ()), (("INTO",), ()), (("OVERWRITE", "TABLE"), ()), (("OVERWRITE",), ())],
    "UPDATE": [((), ())],
    "DELETE": [(("FROM",), ())],
    "MERGE": [(("INTO",), ()), (("WITH", "SCHEMA", "EVOLUTION", "INTO"), ())],
    "ALTER": [(("TABLE",), ())],
    "CREATE": [(("TABLE",), ("IF", "NOT", "EXISTS")), (("OR", "REPLACE", "TABLE"), ())],
    "DROP": [(("TABLE",), ("IF", "EXISTS"))],
    "TRUNCATE": [(("TABLE",), ())],
    "RESTORE": [(("TABLE",), ()), ((), ())],
    "OPTIMIZE": [((), ())],
    "COMMENT": [(("ON", "TABLE"), ())],
}
"""By first word: the words that follow it before the table's name, and those that may come between."""

READING = frozenset(("SELECT", "VALUES", "DESCRIBE", "DESC", "SHOW", "("))
"""First words of statements that write nothing."""

WRITING = tuple(_FORMS)
"""First words of statements whose one table is told."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One statement: its first word, and the table that it writes, None where it only reads.

    `start` counts characters of the whole text from 0. `maybe` says that it has IF EXISTS or IF NOT EXISTS.
    """

    text: str
    start: int
    verb: str
    table: TableName | None
    maybe: bool = False

    @property
    def drops(self) -> bool:
        return self.verb == "DROP"

    @property
    def creates(self) -> bool:
        """Whether the table is there only since this statement."""
        return self.verb == "CREATE" and not self.maybe


@dataclass(frozen=True, slots=True)
class Untold:
    """A statement of which it can't be told what it writes; `start` counts characters of the text from 0."""

    start: int
    message: str
    hint: str = ""


def effects_of(text: str) -> list[Effect | Untold]:
    """What each statement of a text writes.

    Raises:
        SqlError: a string or comment that doesn't end.

    >>> [(each.verb, str(each.table)) for each in effects_of("SELECT 1; DELETE FROM main.a.t WHERE true")]
    [('SELECT', 'None'), ('DELETE', 'main.a.t')]
    """
    return [_effect(each) for each in statements(text)]


def _effect(statement: Statement) -> Effect | Untold:
    tokens, words = statement.tokens, statement.words
    start, verb = tokens[0].start, words[0]
    text = statement.text[start : tokens[-1].end + 1]
    if verb in READING:
        return Effect(text, start, verb, None)
    at = _name_at(words, _FORMS.get(verb, ()))
    if at is None:
        said = " ".join(words[:2])
        known = f"{', '.join(WRITING)} of a table, and SELECT"
        return Untold(start, f"what '{said}' changes can't be told", f"known: {known}")
    position, maybe = at
    if verb == "ALTER" and "RENAME" in words and words[words.index("RENAME") + 1 :][:1] == ("TO",):
        return Untold(start, "ALTER TABLE … RENAME TO leaves no table to restore", "make a new table from the old one")
    parts: list[str] = []
    for index in count(position, 2):
        parts += [token.text for token in tokens[index : index + 1]]
        if index + 1 >= len(tokens) or tokens[index + 1].token_type is not TokenType.DOT:
            break
    try:
        return Effect(text, start, verb, TableName.parse(".".join(parts)), maybe)
    except InputError as problem:
        return Untold(tokens[min(position, len(tokens) - 1)].start, problem.message, problem.hint)


def _name_at(words: Sequence[str], forms: Sequence[_Form]) -> tuple[int, bool] | None:
    """Where the table's name begins, and whether the optional words stand before it."""
    for needed, optional in forms:
        end = 1 + len(needed)
        if tuple(words[1:end]) == needed and len(words) > end:
            maybe = bool(optional) and tuple(words[end : end + len(optional)]) == optional
            return end + (len(optional) if maybe else 0), maybe
    return None

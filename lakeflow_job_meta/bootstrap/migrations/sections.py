"""The text of a migration as statements that know their place: up and down, the dataset's name filled in. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, nearest
from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.sql.effects import Untold, effects_of

UP, DOWN = "up", "down"

EMPTY = {
    UP: "write what it does",
    DOWN: "leave it out, and taking the migration back restores the tables to their versions before",
}

_MARKER = re.compile(r"^[ \t]*--[ \t]*migrate:[ \t]*(\S*)[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$\{([^}\n]*)\}")
_NOT_TEXT = re.compile(r"--[^\n]*|/\*.*?\*/|\s", re.DOTALL)

RESERVED = "_ljm_"
"""Tables whose names begin so are the product's own."""

Place = Callable[[int], FileLocation]
"""Where a character of a text stands in its file."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement and the table that it writes, None where it only reads.

    `drops` says that the table is gone afterwards and no version of it is left; `makes` that it wasn't there before.
    """

    text: str
    where: FileLocation
    table: TableName | None
    drops: bool = False
    makes: bool = False


Section = tuple[Step, ...]


def split(text: str, name: str) -> tuple[dict[str, str], list[Diagnostic]]:
    """The sections of a SQL file, each as the whole text with all else blanked, so that places stay what they are.

    >>> {key: value.split() for key, value in split("SELECT 1;\\n-- migrate:down\\nSELECT 2", "x.sql")[0].items()}
    {'up': ['SELECT', '1;'], 'down': ['SELECT', '2']}
    """
    markers = list(_MARKER.finditer(text))
    sections: dict[str, str] = {}
    found: list[Diagnostic] = []
    place = places(text, name)
    if not markers or markers[0][1] == DOWN:
        sections[UP] = _only(text, 0, markers[0].start() if markers else len(text))
    elif _NOT_TEXT.sub("", text[: markers[0].start()]):
        start = re.search(r"\S", _blank_comments(text))
        found.append(Diagnostic("a statement before '-- migrate:up'", place(start.start() if start else 0)))
    ends = [*(each.start() for each in markers[1:]), len(text)]
    for marker, end in zip(markers, ends, strict=False):
        word, at = marker[1], place(marker.start(1))
        if word not in (UP, DOWN):
            hint = nearest(word, (UP, DOWN)) or "write '-- migrate:up' or '-- migrate:down'"
            found.append(Diagnostic(f"unknown section '{word}'", at, hint))
        elif word in sections:
            found.append(Diagnostic(f"a second section '{word}'", at, "put both into one"))
        else:
            sections[word] = _only(text, marker.end(), end)
            if not _NOT_TEXT.sub("", sections[word]):
                found.append(Diagnostic(f"the section '{word}' has no statement", at, EMPTY[word]))
    return sections, found


def steps_of(text: str, place: Place, names: Mapping[str, str]) -> tuple[list[Step], list[Diagnostic]]:
    """The statements of one text.

    Args:
        text: Databricks SQL with `;` between statements; `${dataset}` and `${catalog}` stand for names.
        place: where a character of it stands in its file.
        names: what they stand for.
    """
    filled, origin, found = _filled(text, place, names)
    try:
        effects = effects_of(filled)
    except SqlError as problem:
        start = re.search(r"\S", text)
        return [], [
            *found,
            Diagnostic(problem.message, place(start.start() if start else 0), " ".join(problem.hint.split())),
        ]
    steps: list[Step] = []
    for each in effects:
        where = place(origin(each.start))
        if isinstance(each, Untold):
            found.append(Diagnostic(each.message, where, each.hint))
        elif each.table is not None and each.table.name.startswith(RESERVED):
            found.append(Diagnostic(f"{each.table} is the product's own", where, "name another table"))
        else:
            steps.append(Step(each.text, where, each.table, each.drops, each.creates))
    return steps, found


def drop_findings(up: Sequence[Step], down: Sequence[Step] | None) -> list[Diagnostic]:
    """A dropped table has no version left to restore: nothing may fail after it, and RESTORE can't take it back."""
    found: list[Diagnostic] = []
    for section in (up, down or ()):
        lost = [position for position, step in enumerate(section) if _loses(section, position, step)]
        for position in lost:
            if position != len(section) - 1:
                what = f"DROP TABLE {section[position].table} isn't the last statement"
                hint = "what fails after it couldn't be taken back: put it last, or into a migration of its own"
                found.append(Diagnostic(what, section[position].where, hint))
        if lost and section is up and down is None:
            what = f"DROP TABLE {section[lost[-1]].table} without a down section"
            found.append(Diagnostic(what, section[lost[-1]].where, "RESTORE can't bring it back: say what does"))
    return found


def final_drop(section: Sequence[Step]) -> TableName | None:
    """The table whose loss ends a section, if it does."""
    last = len(section) - 1
    return section[last].table if section and _loses(section, last, section[last]) else None


def _loses(section: Sequence[Step], position: int, step: Step) -> bool:
    return step.drops and not any(each.makes and each.table == step.table for each in section[:position])


def places(text: str, name: str) -> Place:
    """Where each character of a file's text stands."""

    def place(offset: int) -> FileLocation:
        before = text[:offset]
        return FileLocation(name, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)

    return place


def _only(text: str, start: int, end: int) -> str:
    return re.sub(r"[^\n]", " ", text[:start]) + text[start:end]


def _blank_comments(text: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.DOTALL)


def _filled(text: str, place: Place, names: Mapping[str, str]) -> tuple[str, Callable[[int], int], list[Diagnostic]]:
    """The text with names filled in, and where each of its characters comes from."""
    parts: list[str] = []
    moved: list[tuple[int, int]] = [(0, 0)]
    found: list[Diagnostic] = []
    done = length = 0
    for match in _PLACEHOLDER.finditer(text):
        name = match[1]
        if name not in names:
            hint = nearest(name, names) or "known: " + ", ".join(f"${{{each}}}" for each in names)
            found.append(Diagnostic(f"unknown name '${{{name}}}'", place(match.start()), hint))
        value = names.get(name) or names["dataset"]  # a name all the same, so that the rest is read as it is meant
        parts += [text[done : match.start()], value]
        length += match.start() - done + len(value)
        done = match.end()
        moved.append((length, done))
    parts.append(text[done:])

    def origin(offset: int) -> int:
        filled, original = next(pair for pair in reversed(moved) if pair[0] <= offset)
        return original + offset - filled

    return "".join(parts), origin, found

"""Which stages a pipeline can have, and in which direction each runs. Data only; what they do is in `pipelines`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

SOURCE_TO_DL, DL_TO_SINK = DIRECTIONS = ("source_to_dl", "dl_to_sink")
"""The halves of a pipeline: into the data lake, and from there into the sink."""

NOTEBOOK, PROGRAM = "notebook", "entry_point"

BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "driver_check": DIRECTIONS,
    "extract": (SOURCE_TO_DL,),
    "load": (DL_TO_SINK,),
    "verify": DIRECTIONS,
}
"""The directions that each built-in stage runs in."""

_NOTEBOOK = re.compile(r"notebook:(\S(?:.*\S)?)")
_PROGRAM = re.compile(r"entry_point:([A-Za-z0-9][A-Za-z0-9._-]*):([A-Za-z0-9_][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class UserStage:
    """A stage that people bring themselves; it runs in both directions."""

    KINDS: ClassVar = (NOTEBOOK, PROGRAM)

    kind: str
    path: str = ""
    package: str = ""
    name: str = ""


def parse_stage_type(text: str) -> str | UserStage | None:
    """A built-in stage's name, a user's stage, or None where it is neither.

    >>> parse_stage_type("extract"), parse_stage_type("entry_point:acme_checks:scan")
    ('extract', UserStage(kind='entry_point', path='', package='acme_checks', name='scan'))
    >>> parse_stage_type("extrakt")
    """
    if text in BUILT_IN:
        return text
    if found := _NOTEBOOK.fullmatch(text):
        return UserStage(NOTEBOOK, path=found[1])
    if found := _PROGRAM.fullmatch(text):
        return UserStage(PROGRAM, package=found[1], name=found[2])
    return None


def runs_in(stage_type: str, direction: str) -> bool:
    """Whether a stage of this type has something to do in a direction.

    >>> runs_in("extract", DL_TO_SINK), runs_in("notebook:/etl/audit", DL_TO_SINK)
    (False, True)
    """
    return direction in BUILT_IN.get(stage_type, DIRECTIONS)

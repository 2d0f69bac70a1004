"""What the process tells: its result, the values it set, its error, and of the trace what is the user's."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from itertools import dropwhile, takewhile
from pathlib import Path
from types import TracebackType
from typing import Any

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.local.tasks.told import RESULT, SECRETS, VALUES

OURS = (str(Path(__file__).parent), "<frozen ")
PACKAGE = str(Path(__file__).parents[3])
HEAD = "Traceback (most recent call last):\n"


class Report:
    """The files by which the process tells.

    Args:
        folder: the task's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def value(self, name: str, value: object) -> None:
        """A task value, told at once: it stays set also if the task fails later.

        Raises:
            TypeError: it isn't JSON.
        """
        line = json.dumps({name: value})
        with (self._folder / VALUES).open("a") as file:
            _ = file.write(line + "\n")

    def secret(self, scope: str, key: str) -> None:
        """A secret was read: children of ours may print it, which only the server can still hide."""
        with (self._folder / SECRETS).open("a") as file:
            _ = file.write(json.dumps([scope, key]) + "\n")

    def end(
        self,
        output: Mapping[str, Any] | None = None,
        error: tuple[str, str] = ("", ""),
        rows_written: int | None = None,
    ) -> None:
        """The end: what runs/get-output tells, and error and trace where it failed."""
        told = {"output": output or {}, "error": error[0], "error_trace": error[1], "rows_written": rows_written}
        path = self._folder / RESULT
        _ = path.with_suffix(".new").write_text(json.dumps(told))
        _ = path.with_suffix(".new").replace(path)


def told_error(problem: BaseException, memory_bytes: int) -> tuple[str, str]:
    """An error in one line, and its trace: those lines of it that are the user's, with what they called.

    Of an error of our own, what happened within us helps nobody; where none of the user's lines is in it, it has no
    trace.
    """
    kind = type(problem)
    own = isinstance(problem, LakeflowJobMetaError)
    plain = own or kind.__module__ in ("builtins", "__main__")
    name = kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
    line = f"{name}: {problem}" if str(problem) else name
    if isinstance(problem, MemoryError) and memory_bytes:
        line = f"{name}: a task's process may have {memory_bytes // 2**20} MiB"
    frames = dropwhile(lambda each: each.filename.startswith(OURS[0]), traceback.extract_tb(problem.__traceback__))
    users = list(takewhile(lambda each: not each.filename.startswith(PACKAGE), frames))
    if own and not users:
        return str(problem), ""
    if own:
        return line, "".join([HEAD, *traceback.format_list(users), line, "\n"])
    return line, "".join(traceback.format_exception(problem.with_traceback(_users(problem.__traceback__))))


def _users(trace: TracebackType | None) -> TracebackType | None:
    """The trace from where the user's own code begins."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OURS):
        trace = trace.tb_next
    return trace

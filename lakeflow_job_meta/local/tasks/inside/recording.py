"""What cells print and show: on the task's output, in the executed notebook, and never with a secret in it."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import IO, Any

from lakeflow_job_meta.local.tasks.inside.notebook_source import MARKDOWN, Notebook
from lakeflow_job_meta.local.tasks.redactor import Redactor

MOST_OF_A_CELL = 1024 * 1024
SAVE_SECONDS = 1.0


class Recording:
    """The executed notebook, as it grows.

    Args:
        notebook: what is run; path: where the executed notebook is kept; redactor: what it must not show.
    """

    def __init__(self, notebook: Notebook, path: Path, redactor: Redactor) -> None:
        self._notebook = notebook
        self._path = path
        self._redacted = redactor
        self._outputs: dict[int, list[dict[str, Any]]] = {}
        self._times: dict[int, list[float]] = {}
        self._number = 0
        self._room = MOST_OF_A_CELL
        self._saved = time.monotonic()

    def begin(self, number: int) -> None:
        """A cell begins: what comes now is its output."""
        self._number, self._room = number, MOST_OF_A_CELL
        self._outputs[number] = []
        self._times[number] = [time.time()]

    def end(self) -> None:
        """The cell has ended."""
        self._times[self._number].append(time.time())
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def text(self, name: str, text: str) -> None:
        """Something was printed, redacted already."""
        outputs = self._outputs.setdefault(self._number, [])
        if self._room <= 0 or not text:
            return
        kept = text[: self._room]
        self._room -= len(kept)
        if self._room <= 0:
            kept += f"\n[… more than {MOST_OF_A_CELL} characters: the rest isn't kept with the notebook …]\n"
        if outputs and outputs[-1].get("name") == name:
            outputs[-1]["text"] += kept
        else:
            outputs.append({"output_type": "stream", "name": name, "text": kept})

    def show(self, data: dict[str, Any], *, result: bool = False) -> None:
        """Something is shown, in several forms by their MIME types."""
        data = self._redacted.bundle(data)
        output: dict[str, Any] = {"output_type": "display_data", "data": data, "metadata": {}}
        if result:
            output |= {"output_type": "execute_result", "execution_count": self._number}
        self._room -= sum(len(str(each)) for each in data.values())
        if self._room > 0:
            self._outputs.setdefault(self._number, []).append(output)

    def error(self, kind: str, message: str, trace: str) -> None:
        """The cell failed."""
        output = {"output_type": "error", "ename": kind, "evalue": message, "traceback": trace.splitlines()}
        self._outputs.setdefault(self._number, []).append(output)

    def save(self) -> None:
        """Write the executed notebook, in Jupyter's format 4.5."""
        self._saved = time.monotonic()
        metadata = {"language_info": {"name": self._notebook.language}, "lakeflow": {"path": self._notebook.path}}
        cells = [self._cell(each.number, each.kind, each.text, each.argument) for each in self._notebook.cells]
        text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}, indent=1)
        new = self._path.with_suffix(".new")
        _ = new.write_text(text)
        _ = new.replace(self._path)

    def _cell(self, number: int, kind: str, text: str, argument: str) -> dict[str, Any]:
        if kind == MARKDOWN:
            return {"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}, "source": text}
        own = kind == self._notebook.language
        source = text if own else f"%{kind} {argument}\n{text}".strip("\n ")
        begun, *ended = self._times.get(number, [0.0])
        metadata = {"lakeflow": {"started": begun, "ended": ended[0] if ended else None}} if begun else {}
        return {
            "cell_type": "code", "id": f"cell-{number}", "metadata": metadata, "source": source,
            "execution_count": number if begun else None, "outputs": self._outputs.get(number, []),
        }  # fmt: skip


class Printed(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of a notebook.

    Args:
        name: stdout or stderr; stream: where it goes too; recording: the notebook's; redactor: what must not be seen.
    """

    def __init__(self, name: str, stream: IO[str], recording: Recording, redactor: Redactor) -> None:
        super().__init__()
        self._name = name
        self._stream = stream
        self._recording = recording
        self._redacted = redactor

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] (a plain attribute there)
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, s: str, /) -> int:
        shown = self._redacted(s)
        _ = self._stream.write(shown)
        self._recording.text(self._name, shown)
        return len(s)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

"""What a task run left in its folder, or has so far: what it prints, the executed notebook."""

from __future__ import annotations

from pathlib import Path

from lakeflow_job_meta.local.state import State
from lakeflow_job_meta.local.tasks.redactor import Redactor
from lakeflow_job_meta.local.tasks.told import secrets_read

EXECUTED = "notebook.ipynb"
STREAMS = ("stdout", "stderr")
MOST_BYTES = 64 * 1024
"""So much is told of each stream of a task that still prints."""


def printed_so_far(state: State, workspace: int, folder: Path) -> str:
    """The end of what a task under way has printed, without the secrets that it has read."""
    redacted = Redactor()
    try:
        for scope, key in secrets_read(folder):
            sql = "SELECT value FROM secrets WHERE workspace = ? AND scope = ? AND key = ?"
            if (row := state.one(sql, workspace, scope, key)) is not None:
                redacted.hide(bytes(row["value"]).decode(errors="replace"))
    except ValueError:
        return ""  # it reads one just now: which isn't known before the line is whole
    return "".join(redacted(_end_of(folder / name)) for name in STREAMS)


def executed_notebook(folder: Path) -> str | None:
    """The notebook that a task ran, with what its cells gave, if it came so far."""
    path = folder / EXECUTED
    return path.read_text() if path.exists() else None


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = max(0, path.stat().st_size - MOST_BYTES)
            _ = file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return ""
    # A first line that begins in its middle may begin in the middle of a secret.
    return (data.partition(b"\n")[2] if start else data).decode(errors="replace")

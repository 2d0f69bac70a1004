"""The order as the task's own process reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ORDER = "order.json"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What to do, and where: as `order.TaskOrder`, with the home folder and the workspace it is done in."""

    home: Path
    workspace_id: int
    folder: Path
    kind: str
    task: Mapping[str, Any]
    parameters: Mapping[str, str]
    values: Mapping[str, Mapping[str, Any]]
    run_id: int
    memory_bytes: int

    @property
    def what(self) -> Mapping[str, Any]:
        """The part of the task that says what to do: its `notebook_task`, …"""
        return self.task.get(self.kind) or {}

    @property
    def work(self) -> Path:
        """The folder that the task runs in."""
        return self.folder / "work"

    def write(self) -> None:
        """Leave it in its folder, for nobody but us to read: parameters may be anything."""
        self.work.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self.folder / ORDER, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file, default=str)


def read_assignment(folder: Path) -> Assignment:
    """The order that lies in the folder."""
    given: dict[str, Any] = json.loads((folder / ORDER).read_text())
    return Assignment(home=Path(given.pop("home")), folder=Path(given.pop("folder")), **given)

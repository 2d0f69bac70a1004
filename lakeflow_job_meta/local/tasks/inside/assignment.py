"""The order as the task's own process reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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


def read_assignment(folder: Path) -> Assignment:
    """The order that lies in the folder."""
    given: dict[str, Any] = json.loads((folder / "order.json").read_text())
    return Assignment(
        home=Path(given.pop("home")), workspace_id=given.pop("workspace_id"), folder=Path(given.pop("folder")), **given
    )

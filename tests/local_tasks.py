"""Tasks for tests: real processes, started as the runner starts them."""

from __future__ import annotations

import base64
import io
import itertools
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.workspace import ImportFormat, Language

from lakeflow_job_meta.local.tasks.executor import ProcessExecutor
from lakeflow_job_meta.local.tasks.limits import Limits
from lakeflow_job_meta.local.tasks.order import Execution, TaskOrder, TaskResult

NUMBERS = itertools.count(1)
WHEEL_CODE = """
import sys
from importlib.resources import files
def main():
    print("main", sys.argv, files(__package__).joinpath("data.txt").read_text())
def direct():
    print("direct", sys.argv[1:])
def broken():
    raise ValueError("in the wheel")
def leave():
    sys.exit(4)
"""
"""What is in the wheel, beside its packaging."""


@dataclass(frozen=True)
class Place:
    """A home folder with tasks in it."""

    home: Path
    folder: Path
    workspace_id: int = 1
    limits: Limits = field(default_factory=lambda: Limits(grace_seconds=1))

    def start(self, kind: str, what: Mapping[str, Any], **given: Any) -> tuple[Execution, Path]:
        """A task under way, and its folder."""
        number = next(NUMBERS)
        folder = self.folder / f"task_{number}"
        folder.mkdir()
        task = {"task_key": "t", kind: dict(what), **given.pop("task", {})}
        order = TaskOrder(
            1, number, 0, kind, task, given.pop("parameters", {}), given.pop("values", {}), folder, **given
        )
        return ProcessExecutor(self.home, self.workspace_id, self.limits).start(order), folder

    def run(self, kind: str, what: Mapping[str, Any], **given: Any) -> tuple[TaskResult, Path]:
        """A task to its end."""
        execution, folder = self.start(kind, what, **given)
        return execution.wait(), folder

    def script(self, text: str) -> dict[str, Any]:
        """What a Python file task of this text is asked."""
        path = self.folder / f"script_{next(NUMBERS)}.py"
        path.write_text(text)
        return {"python_file": f"file:{path}"}

    def python(self, text: str, **given: Any) -> TaskResult:
        """A Python file task of this text, to its end."""
        return self.run("spark_python_task", self.script(text), **given)[0]

    def begin(self, text: str, **given: Any) -> tuple[Execution, Path]:
        """A Python file task of this text, under way."""
        return self.start("spark_python_task", self.script(text), **given)


def put_notebook(client: WorkspaceClient, path: str, text: str, language: Language = Language.PYTHON) -> None:
    """Import a notebook by the real SDK."""
    client.workspace.mkdirs(path.rpartition("/")[0])
    content = base64.b64encode(text.encode()).decode()
    client.workspace.import_(path, content=content, format=ImportFormat.SOURCE, language=language, overwrite=True)


def put_file(client: WorkspaceClient, path: str, content: bytes) -> None:
    """Import a file by the real SDK."""
    client.workspace.mkdirs(path.rpartition("/")[0])
    text = base64.b64encode(content).decode()
    client.workspace.import_(path, content=text, format=ImportFormat.RAW, overwrite=True)


def wheel(name: str = "retail_etl", code: str = WHEEL_CODE, requires: str = "") -> bytes:
    """A wheel as setuptools builds it, with an entry point in a group of its own."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": "from retail_etl.jobs import direct\n" if name == "retail_etl" else code,
        f"{name}/jobs.py": code,
        f"{name}/data.txt": "packaged",
        f"{name}-1.0.data/purelib/{name}_extra.py": "EXTRA = 1",
        f"{name}-1.0.data/scripts/run-it": "#!python\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": (
            f"[group_of_ours]\nload = {name}.jobs:main\nfail = {name}.jobs:broken\nleave = {name}.jobs:leave\n"
        ),
        f"{info}/RECORD": "",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return made.getvalue()


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """What the condition gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False

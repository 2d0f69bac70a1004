"""A file beside the metadata that a task names by a relative path: as data, which the engine can put into place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

FOLDER = "/Workspace/Shared/lakeflow_job_meta/files"
"""Where such files go: each below the hash of its content, so that none is ever changed there."""

LANGUAGES = {".py": "PYTHON", ".sql": "SQL", ".scala": "SCALA", ".r": "R", ".ipynb": "PYTHON"}
"""Suffixes of notebooks; in the workspace a notebook has none."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was when the plan was made.

    Args:
        path: where it lies here.
        sha256: of its content.
        notebook: whether it is to become a notebook; a plain file otherwise.
    """

    path: Path
    sha256: str
    notebook: bool

    @property
    def remote(self) -> str:
        """Its path in the workspace.

        >>> LocalFile(Path("nb/load.py"), "0123456789abcdef0123", notebook=True).remote
        '/Workspace/Shared/lakeflow_job_meta/files/0123456789abcdef/load'
        """
        name = PurePosixPath(self.path).stem if self.notebook else self.path.name
        return f"{FOLDER}/{self.sha256[:16]}/{name}"

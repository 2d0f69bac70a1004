"""The folder of the workspace that one control table's wheels are kept in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from lakeflow_job_meta.deploy.package import PACKAGE
from lakeflow_job_meta.deploy.rows import principal
from lakeflow_job_meta.deploy.wheel import Wheel
from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.ingest.volume import is_volume
from lakeflow_job_meta.workspace.api import Api
from lakeflow_job_meta.workspace.connect import ME
from lakeflow_job_meta.workspace.files import Files, VolumeFiles, WorkspaceFiles

WORKSPACE = "/Workspace"
OURS = re.compile(re.escape(PACKAGE) + r"-[\w.]+\+w[0-9a-f]{12}-py3-none-any\.whl")


@dataclass(frozen=True, slots=True)
class WheelFolder:
    """A folder in a volume, or among the workspace files."""

    api: Api
    path: str

    @classmethod
    def below(cls, api: Api, folder: str, name: str) -> WheelFolder:
        """A folder of this name below another; by default below the home folder of whoever deploys.

        Not below /Workspace/Shared: everybody may write there, and what lies in the wheel acts as the monitor.

        Raises:
            UsageError: it is neither in a volume nor among the workspace files.
        """
        if not folder:
            folder = f"{WORKSPACE}/Users/{api.get(ME)['userName']}/{PACKAGE}"
        path = PurePosixPath(folder)
        in_volume = is_volume(folder) and len(path.parts) >= 5
        if ".." in path.parts or not (in_volume or path.is_relative_to(WORKSPACE)):
            raise UsageError(
                f"a wheel can't be kept in '{folder}'", hint=f"name a folder in a volume, or below {WORKSPACE}"
            )
        return cls(api, str(path / name))

    @property
    def files(self) -> Files:
        return VolumeFiles(self.api) if is_volume(self.path) else WorkspaceFiles(self.api)

    def path_of(self, wheel: Wheel) -> str:
        """Where the wheel is, or would be."""
        return f"{self.path}/{wheel.name}"

    def has(self, wheel: Wheel) -> bool:
        """Whether the wheel is there, whole."""
        return self.files.has(self.path_of(wheel), len(wheel.data))

    def put(self, wheel: Wheel) -> None:
        """Write the wheel."""
        self.files.upload(self.path_of(wheel), wheel.data)

    def let_read(self, run_as: str) -> None:
        """Let whom the job runs as read the wheels. In a volume that is granted in Unity Catalog."""
        if not is_volume(self.path):
            WorkspaceFiles(self.api).allow_reading(self.path, principal(run_as))

    def wheels(self) -> list[str]:
        """The paths of all wheels of ours in it."""
        return [f"{self.path}/{name}" for name in sorted(self.files.names(self.path)) if OURS.fullmatch(name)]

    def clear(self) -> list[str]:
        """Delete all wheels of ours, and the folder if it is empty then; returns their paths."""
        wheels = self.wheels()
        for path in wheels:
            self.files.delete(path)
        if wheels:
            self.files.delete_folder(self.path)
        return wheels

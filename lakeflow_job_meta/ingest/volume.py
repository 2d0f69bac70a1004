"""Where the YAML files of a path are: in a folder of this machine, in a mounted volume, or in one far away."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.find import Found, find_files
from lakeflow_job_meta.ingest.mirror import Mirror
from lakeflow_job_meta.model.table import IDENTIFIER
from lakeflow_job_meta.settings import LOCAL, RUNTIME
from lakeflow_job_meta.workspace.connect import Workspace
from lakeflow_job_meta.workspace.files import VolumeFiles

VOLUMES = "/Volumes"


class Place(Protocol):
    """Where YAML files lie, looked at again and again."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, None where there is none."""
        ...

    @property
    def polled(self) -> bool:
        """Whether only looking tells that something changed: no event of the operating system does."""
        ...

    def look(self) -> Found | None:
        """The files as they are now; None where the path doesn't exist.

        Raises:
            InputError: it can't be what is meant.
            WorkspaceError: the volume can't be reached, or may not be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A file or folder of this machine; `named` is what people and records call it, if it is a volume."""

    folder: Path
    named: str = ""

    @property
    def polled(self) -> bool:
        # Neither volumes nor other network mounts tell of changes made elsewhere.
        return bool(self.named)

    def look(self) -> Found | None:
        return find_files(self.folder, self.named)

    def __str__(self) -> str:
        return self.named or str(self.folder)


@dataclass(frozen=True, slots=True)
class VolumePlace:
    """A volume that isn't mounted here; its files come through the Files API. No call is made yet."""

    path: str
    workspace: Workspace
    folder: None = None
    polled: bool = True

    def look(self) -> Found | None:
        # Volumes of two workspaces may have the same name.
        key = hashlib.sha256(f"{self.workspace.client.config.host} {self.path}".encode()).hexdigest()[:16]
        cache = self.workspace.home / "cache" / "volumes" / key
        return Mirror(VolumeFiles(self.workspace.api), self.path, cache).look()

    def __str__(self) -> str:
        return self.path


def is_volume(path: str) -> bool:
    """Whether a path names a volume.

    >>> is_volume("/Volumes/main/etl/files"), is_volume("metadata")
    (True, False)
    """
    return PurePosixPath(path).is_relative_to(VOLUMES)


def place_of_files(path: str | Path, workspace: Workspace, mounts: Path = Path(VOLUMES)) -> Place:
    """Where the YAML files of a path are.

    `/Volumes/catalog/schema/volume[/…]` is that folder where volumes are mounted: inside of Databricks, and where the
    folder of the schema exists. The embedded workspace keeps it below the home folder. Any other workspace's is read
    through the Files API.

    Args:
        path: as people write it.
        workspace: whose volumes are meant; no call is made yet.
        mounts: where volumes are mounted, if they are. That it exists says nothing: macOS keeps its disks there.

    Raises:
        InputError: begins like a volume's path and is none, or leaves the volume.
    """
    if not is_volume(str(path)):
        return FolderPlace(Path(path))
    parts = PurePosixPath(path).relative_to(VOLUMES).parts
    if len(parts) < 3 or ".." in parts or not all(IDENTIFIER.fullmatch(part) for part in parts[:3]):
        raise InputError(f"'{path}' is no volume's path", hint="write /Volumes/catalog/schema/volume")
    named = "/".join((VOLUMES, *parts))
    if os.environ.get(RUNTIME) or mounts.joinpath(*parts[:2]).is_dir():
        return FolderPlace(mounts.joinpath(*parts), named)
    if workspace.address == LOCAL:
        return FolderPlace(workspace.home.joinpath("volumes", *parts), named)
    return VolumePlace(named, workspace)


def find_at(path: str | Path, workspace: Workspace) -> Found:
    """The YAML files of a path as they are now.

    Raises:
        InputError: nothing is there.
        WorkspaceError: the volume can't be reached, or may not be read.
    """
    found = place_of_files(path, workspace).look()
    if found is None:
        hint = "is the volume's name right?" if is_volume(str(path)) else f"relative paths start at {Path.cwd()}"
        raise InputError(f"{path} doesn't exist", hint=hint)
    return found

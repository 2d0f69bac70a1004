"""Where a Unity Catalog volume's files lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import IDENTIFIER
from lakeflow_job_meta.settings import RUNTIME

VOLUMES = "/Volumes"


def is_volume(path: str) -> bool:
    """Whether a path names a volume.

    >>> is_volume("/Volumes/main/etl/files"), is_volume("metadata")
    (True, False)
    """
    return PurePosixPath(path).is_relative_to(VOLUMES)


def volume_folder(path: str, home: Path, mounts: Path = Path(VOLUMES)) -> Path:
    """The folder of `/Volumes/catalog/schema/volume[/…]`; any other path is itself.

    Where volumes are mounted the path is itself too: inside of Databricks, and where the folder of the schema exists.
    Elsewhere it lies below the home folder.

    Args:
        path: as people write it.
        home: the home folder.
        mounts: where volumes are mounted, if they are. That it exists says nothing: macOS keeps its disks there.

    Raises:
        InputError: not a volume's path, or one that leaves the volume.
    """
    if not is_volume(path):
        return Path(path)
    parts = PurePosixPath(path).relative_to(VOLUMES).parts
    if len(parts) < 3 or ".." in parts or not all(IDENTIFIER.fullmatch(part) for part in parts[:3]):
        raise InputError(f"'{path}' is no volume's path", hint="write /Volumes/catalog/schema/volume")
    mounted = bool(os.environ.get(RUNTIME)) or mounts.joinpath(*parts[:2]).is_dir()
    return mounts.joinpath(*parts) if mounted else home.joinpath("volumes", *parts)

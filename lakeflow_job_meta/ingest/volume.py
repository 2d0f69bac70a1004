"""Where a Unity Catalog volume's files lie on this machine."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import IDENTIFIER

VOLUMES = "/Volumes"


def is_volume(path: str) -> bool:
    """Whether a path names a volume.

    >>> is_volume("/Volumes/main/etl/files"), is_volume("metadata")
    (True, False)
    """
    return PurePosixPath(path).is_relative_to(VOLUMES)


def volume_folder(path: str, home: Path) -> Path:
    """The folder of `/Volumes/catalog/schema/volume[/…]`; any other path is itself.

    Where volumes are mounted (inside of Databricks) the path is itself too, elsewhere it lies below the home folder.

    Raises:
        InputError: not a volume's path, or one that leaves the volume.
    """
    if not is_volume(path):
        return Path(path)
    parts = PurePosixPath(path).relative_to(VOLUMES).parts
    if len(parts) < 3 or ".." in parts or not all(IDENTIFIER.fullmatch(part) for part in parts[:3]):
        raise InputError(f"'{path}' is no volume's path", hint="write /Volumes/catalog/schema/volume")
    mounted = Path(path)
    return mounted if Path(VOLUMES).is_dir() else home.joinpath("volumes", *parts)

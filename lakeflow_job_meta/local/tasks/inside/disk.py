"""Where on this machine's disk a path of Databricks' file systems lies."""

from __future__ import annotations

from pathlib import Path

from lakeflow_job_meta.errors import InputError

DEPTH = 4  # Volumes, catalog, schema, volume


def on_disk(home: Path, path: str) -> Path:
    """The place of a `/Volumes/…`, `dbfs:/Volumes/…` or `file:/…` path.

    Raises:
        InputError: another file system, or a path that leaves its volume.
    """
    if path.startswith("file:"):
        return Path("/" + path.removeprefix("file:").lstrip("/"))
    plain = "/" + path.removeprefix("dbfs:").lstrip("/")
    parts = [part for part in plain.split("/") if part]
    if parts[:1] != ["Volumes"] or (":" in path and not path.startswith("dbfs:")):
        raise InputError(
            f"'{path}' can't be reached here", hint="use /Volumes/catalog/schema/volume/…, or file:/… for this machine"
        )
    root = home / "volumes"
    target = root.joinpath(*parts[1:])
    if ".." in parts or "\0" in path or not target.resolve().is_relative_to(root.resolve()):
        raise InputError(f"'{path}' leads out of the volumes")
    return target


def in_volume(path: str) -> bool:
    """Whether a path lies in a volume."""
    return path.removeprefix("dbfs:").startswith("/Volumes/")

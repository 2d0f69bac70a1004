"""`dbutils.fs`: files of the volumes, and with `file:/` of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.local.tasks.inside.disk import on_disk


class FileInfo(NamedTuple):
    """One entry of a folder; the size in bytes, the time in milliseconds since 1970."""

    path: str
    name: str
    size: int
    modificationTime: int

    def isDir(self) -> bool:
        """Whether it is a folder."""
        return self.name.endswith("/")

    def isFile(self) -> bool:
        """Whether it is a file."""
        return not self.isDir()


class Files:
    """`dbutils.fs`.

    Args:
        home: the folder that holds `volumes`.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def ls(self, path: str) -> list[FileInfo]:
        """What a folder holds, by name."""
        folder = self._existing(path)
        if folder.is_file():
            return [_info(folder, _shown(path).rstrip("/"))]
        base = _shown(path).rstrip("/")
        return [_info(each, f"{base}/{each.name}") for each in sorted(folder.iterdir())]

    def head(self, file: str, maxBytes: int = 65536) -> str:
        """The first bytes of a file, as text."""
        found = self._existing(file)
        if found.is_dir():
            raise InputError(f"Cannot head a directory: {file}")
        with found.open("rb") as opened:
            return opened.read(maxBytes).decode(errors="replace")

    def put(self, file: str, contents: str, overwrite: bool = False) -> bool:
        """Write text to a file."""
        target = on_disk(self._home, file)
        if target.exists() and not overwrite:
            raise InputError(f"{file} exists already", hint="put(…, overwrite=True)")
        target.parent.mkdir(parents=True, exist_ok=True)
        size = target.write_bytes(contents.encode())
        print(f"Wrote {size} bytes.")
        return True

    def mkdirs(self, dir: str) -> bool:  # noqa: A002 (Databricks calls it so)
        """Make a folder and those above it."""
        on_disk(self._home, dir).mkdir(parents=True, exist_ok=True)
        return True

    def rm(self, dir: str, recurse: bool = False) -> bool:  # noqa: A002
        """Remove a file or, with `recurse`, a folder; says whether there was one."""
        target = on_disk(self._home, dir)
        if not target.exists():
            return False
        if target.is_dir() and any(target.iterdir()) and not recurse:
            raise InputError(f"{dir} is a folder that isn't empty", hint="rm(…, recurse=True)")
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        return True

    def cp(self, from_: str, to: str, recurse: bool = False) -> bool:
        """Copy a file or, with `recurse`, a folder."""
        source, target = self._ends(from_, to, recurse=recurse)
        _ = shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copyfile(source, target)
        return True

    def mv(self, from_: str, to: str, recurse: bool = False) -> bool:
        """Move a file or, with `recurse`, a folder."""
        source, target = self._ends(from_, to, recurse=recurse)
        _ = shutil.move(source, target)
        return True

    def _ends(self, from_: str, to: str, *, recurse: bool) -> tuple[Path, Path]:
        source, target = self._existing(from_), on_disk(self._home, to)
        if source.is_dir() and not recurse:
            raise InputError(f"{from_} is a folder", hint="give recurse=True")
        if source.is_file() and (target.is_dir() or to.endswith("/")):
            target = target / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        return source, target

    def _existing(self, path: str) -> Path:
        found = on_disk(self._home, path)
        if not found.exists():
            raise InputError(f"FileNotFoundException: No such file or directory {path}")
        return found


def _shown(path: str) -> str:
    return path if path.startswith(("dbfs:", "file:")) else f"dbfs:/{path.lstrip('/')}"


def _info(found: Path, path: str) -> FileInfo:
    status = found.stat()
    moment = int(status.st_mtime * 1000)
    if found.is_dir():
        return FileInfo(f"{path}/", f"{found.name}/", 0, moment)
    return FileInfo(path, found.name, status.st_size, moment)

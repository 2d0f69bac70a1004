"""Files in a workspace: those of volumes (the Files API), and workspace files (the Workspace API).

What the Files API 2.0 offers decides how it is used: a listing tells size and time of change of each file, a download
knows no condition but If-Unmodified-Since. So what has changed is told by the listing alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote

from lakeflow_job_meta.errors import NotFound, WorkspaceError
from lakeflow_job_meta.workspace.api import Api, Download

DOWNLOAD_HEADERS = ("content-length", "last-modified", "date")
FILE = "FILE"
MAX_PAGES = 10_000
NOT_EMPTY = (400, 409)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder holds, as the service says: not to be trusted with names. `modified` is in ms since 1970."""

    path: str
    name: str
    is_folder: bool
    size: int = 0
    modified: int = 0


class Files(Protocol):
    """A place that files can be put to."""

    def has(self, path: str, size: int) -> bool:
        """Whether a file of this many bytes is there."""
        ...

    def upload(self, path: str, data: bytes) -> None:
        """Write a file whole, with the folders above it."""
        ...

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files in a folder; none where it doesn't exist."""
        ...

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""
        ...

    def delete_folder(self, folder: str) -> None:
        """Delete a folder if it is empty."""
        ...


class VolumeFiles:
    """The files of Unity Catalog volumes."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def entries(self, folder: str) -> Iterator[Entry]:
        """All that a folder holds, page by page.

        Raises:
            NotFound: there is no such folder, or no such volume.
            WorkspaceError: and its other kinds; what was told before isn't all.
        """
        query: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            page = self._api.get(f"/api/2.0/fs/directories{quote(folder)}", query)
            for each in page.get("contents", ()):
                yield Entry(
                    str(each.get("path", "")),
                    str(each.get("name", "")),
                    each.get("is_directory") is True,
                    int(each.get("file_size") or 0),
                    int(each.get("last_modified") or 0),
                )
            if not page.get("next_page_token"):
                return
            query = {"page_token": page["next_page_token"]}
        raise WorkspaceError(f"the listing of {folder} doesn't end: {MAX_PAGES} pages", hint="is this the workspace?")

    def download(self, path: str, limit: int) -> Download:
        """A file's bytes, no more than `limit`, with DOWNLOAD_HEADERS.

        Raises:
            NotFound: there is no such file.
        """
        return self._api.download(f"/api/2.0/fs/files{quote(path)}", limit, DOWNLOAD_HEADERS)

    def has(self, path: str, size: int) -> bool:
        try:
            headers = self._api.headers(f"/api/2.0/fs/files{quote(path)}", ("content-length",))
        except NotFound:
            return False
        return headers.get("content-length") == str(size)

    def upload(self, path: str, data: bytes) -> None:
        self._api.send("PUT", f"/api/2.0/fs/directories{quote(str(PurePosixPath(path).parent))}", {}, safe=True)
        self._api.upload(f"/api/2.0/fs/files{quote(path)}", data, {"overwrite": True})

    def names(self, folder: str) -> Sequence[str]:
        try:
            return [each.name for each in self.entries(folder) if not each.is_folder]
        except NotFound:
            return []

    def delete(self, path: str) -> None:
        self._delete(f"/api/2.0/fs/files{quote(path)}")

    def delete_folder(self, folder: str) -> None:
        try:
            self._delete(f"/api/2.0/fs/directories{quote(folder)}")
        except WorkspaceError as error:
            if error.status not in NOT_EMPTY:
                raise

    def _delete(self, path: str) -> None:
        try:
            self._api.send("DELETE", path, {}, safe=True)
        except NotFound:
            return


class WorkspaceFiles:
    """Workspace files: below /Workspace."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def has(self, path: str, size: int) -> bool:
        found = self._status(path)
        # The service may leave the size out.
        return found is not None and found.get("object_type") == FILE and found.get("size", size) == size

    def upload(self, path: str, data: bytes) -> None:
        body = {"path": path, "format": "AUTO", "overwrite": True, "content": base64.b64encode(data).decode()}
        try:
            self._api.send("POST", "/api/2.0/workspace/import", body, safe=True)
        except NotFound:
            # The folder is made only when it is missed: that spares a request for every upload after the first.
            self._make_folder(str(PurePosixPath(path).parent))
            self._api.send("POST", "/api/2.0/workspace/import", body, safe=True)

    def names(self, folder: str) -> Sequence[str]:
        try:
            listed = self._api.get("/api/2.0/workspace/list", {"path": folder})
        except NotFound:
            return []
        objects: list[dict[str, Any]] = listed.get("objects", [])
        return [PurePosixPath(each["path"]).name for each in objects if each.get("object_type") == FILE]

    def delete(self, path: str) -> None:
        try:
            self._api.send("POST", "/api/2.0/workspace/delete", {"path": path}, safe=True)
        except NotFound:
            return

    def delete_folder(self, folder: str) -> None:
        try:
            self.delete(folder)
        except WorkspaceError as error:
            if error.status not in NOT_EMPTY:
                raise

    def allow_reading(self, folder: str, principal: dict[str, str]) -> None:
        """Let somebody read a folder and all in it; `principal` is user_name or service_principal_name, and a name."""
        found = self._status(folder)
        if found is None:
            raise NotFound(f"there is no folder {folder} in the workspace", status=404)
        entry = {**principal, "permission_level": "CAN_READ"}
        path = f"/api/2.0/permissions/directories/{found['object_id']}"
        self._api.send("PATCH", path, {"access_control_list": [entry]}, safe=True)

    def _make_folder(self, folder: str) -> None:
        self._api.send("POST", "/api/2.0/workspace/mkdirs", {"path": folder}, safe=True)

    def _status(self, path: str) -> dict[str, Any] | None:
        try:
            return self._api.get("/api/2.0/workspace/get-status", {"path": path})
        except NotFound:
            return None

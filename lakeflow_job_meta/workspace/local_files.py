"""The engine's Files port over the Workspace API: files of this machine, at paths of their content."""

from __future__ import annotations

import base64
import hashlib
import threading
from pathlib import PurePosixPath
from typing import Any

from lakeflow_job_meta.errors import NotFound, WorkspaceError
from lakeflow_job_meta.model.local_file import LANGUAGES, LocalFile
from lakeflow_job_meta.workspace.api import Api

IMPORT = "/api/2.0/workspace/import"


class ApiLocalFiles:
    """Puts each file into place once; safe for threads."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._done: set[str] = set()
        self._lock = threading.Lock()

    def put(self, file: LocalFile) -> None:
        with self._lock:  # several modules may name one file
            if file.remote in self._done:
                return
            self._import(file)
            self._done.add(file.remote)

    def _import(self, file: LocalFile) -> None:
        try:
            data = file.path.read_bytes()
        except OSError as error:
            raise WorkspaceError(f"{file.path} can't be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise WorkspaceError(f"{file.path} changed since the plan was made", hint="plan again")
        body = {"path": file.remote, "overwrite": True, "content": base64.b64encode(data).decode(), **_kind(file)}
        try:
            self._api.send("POST", IMPORT, body, safe=True)
        except NotFound:
            folder = str(PurePosixPath(file.remote).parent)
            self._api.send("POST", "/api/2.0/workspace/mkdirs", {"path": folder}, safe=True)
            self._api.send("POST", IMPORT, body, safe=True)


def _kind(file: LocalFile) -> dict[str, Any]:
    suffix = file.path.suffix.lower()
    if not file.notebook:
        return {"format": "RAW"}
    return {"format": "JUPYTER" if suffix == ".ipynb" else "SOURCE", "language": LANGUAGES[suffix]}

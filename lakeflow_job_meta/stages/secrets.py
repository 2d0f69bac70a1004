"""Where references to secrets lead: this process's environment, and the workspace's secret scopes."""

from __future__ import annotations

import base64
import binascii
import os
from urllib.parse import quote

from lakeflow_job_meta.errors import InputError, WorkspaceError
from lakeflow_job_meta.stages.config.references import Secrets
from lakeflow_job_meta.workspace.connect import Workspace


def secrets_of(workspace: Workspace) -> Secrets:
    """References looked up here, and in this workspace; no request is sent before one is asked for."""

    def scoped(scope: str, key: str) -> str:
        path = f"/api/2.0/secrets/get?scope={quote(scope)}&key={quote(key)}"
        try:
            value = workspace.api.get(path).get("value", "")
            return base64.b64decode(value, validate=True).decode()
        except (WorkspaceError, binascii.Error, UnicodeDecodeError) as error:
            # Not the error's own text only: it says what the scope is called, never the value.
            what = error.message if isinstance(error, WorkspaceError) else "it isn't text"
            raise InputError(f"the secret {scope}/{key} can't be read: {what}") from None

    return Secrets(os.environ, scoped)

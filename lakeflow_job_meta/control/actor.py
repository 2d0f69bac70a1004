"""Who acts: what the log and the state's rows say."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakeflow_job_meta.workspace.connect import Workspace


def actor(workspace: Workspace | None = None) -> str:
    """The user's name, as the workspace knows it where the machine's own user means nothing; in a container whose user
    has no name, the number."""
    if workspace is not None and (principal := workspace.principal):
        return principal
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"

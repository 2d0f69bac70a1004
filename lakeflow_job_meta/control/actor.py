"""Who acts: what the log and the state's rows say."""

from __future__ import annotations

import getpass
import os


def actor() -> str:
    """The user's name; in a container whose user has none, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"

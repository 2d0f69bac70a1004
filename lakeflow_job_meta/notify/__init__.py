"""Telling people what happened, by web hooks.

Belongs here: how a message looks for each kind of hook, sending it. Doesn't: deciding when. What can't be sent
is a warning in the log and no more; its URL is a secret and is never shown.
"""

from __future__ import annotations

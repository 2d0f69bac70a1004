"""Page tokens: opaque to clients, checked when they come back."""

from __future__ import annotations

import base64
import binascii

from lakeflow_job_meta.local.call import invalid


def encode_token(position: str) -> str:
    """A token for a position.

    >>> decode_token(encode_token("42"))
    '42'
    """
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_token(token: str) -> str:
    """The position a token stands for: digits.

    Raises:
        Refusal: 400, for anything that `encode_token` didn't make.
    """
    try:
        position = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        position = ""
    if not (position.isascii() and position.isdecimal() and len(position) <= 16):
        invalid(f"Invalid page_token: {token}")
    return position

"""How a message shows that it is ours and fresh: `t=1795248000,v1=…`, an HMAC over the time and the bytes. Pure."""

from __future__ import annotations

import hashlib
import hmac

HEADER = "X-Lakeflow-Signature"

FRESH_SECONDS = 300
"""A receiver should refuse what was signed longer ago: somebody may have kept it."""


def sign(body: bytes, secret: str, at: int) -> str:
    """The header for these bytes, sent at this time (epoch seconds).

    >>> verify(b"{}", "s", sign(b"{}", "s", 100), now=101), verify(b"{}", "other", sign(b"{}", "s", 100), now=101)
    (True, False)
    """
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def verify(body: bytes, secret: str, header: str, *, now: int) -> bool:
    """Whether a message with this header is ours and fresh: what a receiver does.

    Args:
        body: The bytes as received.
        secret: The shared secret.
        header: The value of X-Lakeflow-Signature.
        now: Epoch seconds.
    """
    at = header.partition(",")[0].removeprefix("t=")
    if not at.isdecimal() or abs(now - int(at)) > FRESH_SECONDS:
        return False
    return hmac.compare_digest(sign(body, secret, int(at)), header)

"""One POST to a web hook: JSON, over one connection, nowhere but where it was addressed to."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

USER_AGENT = "lakeflow-job-meta"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message wasn't taken; `passing` says that another try may help. The address isn't in it: it may be a
    secret."""

    problem: str
    passing: bool


def as_json(content: Mapping[str, Any]) -> bytes:
    """The bytes that are sent, and signed."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def post(url: str, body: bytes, headers: Mapping[str, str], patience: float) -> Refusal | None:
    """Send it; None says that it was taken.

    Args:
        url: http or https.
        body: JSON.
        headers: beside those that every message has.
        patience: seconds that the receiver may take to answer.
    """
    every = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **headers}
    try:
        if not url.startswith(("https://", "http://")):
            return Refusal("its address is neither http nor https", passing=False)
        request = urllib.request.Request(url, body, every, method="POST")  # noqa: S310 - looked at above
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=patience):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return Refusal(f"it answered {error.code}", error.code >= 500 or error.code == 429)
    except (OSError, http.client.HTTPException) as error:
        return Refusal(f"no answer: {type(getattr(error, 'reason', error)).__name__}", passing=True)
    except ValueError:
        return Refusal("its address can't be used", passing=False)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed message, or one to a secret address, is nobody else's."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None

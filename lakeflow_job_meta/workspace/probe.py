"""Single requests with an end: one try, a timeout, and all that the answer tells. For finding out what is wrong.

What keeps jobs equal to rows goes through `api`, which tries again and knows our errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from lakeflow_job_meta.errors import Unreachable

MOST_BYTES = 1_000_000
MESSAGE_LENGTH = 300
CHECK = "check the address, the network, the proxy"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, headers by lower-case name, the body if it is a JSON object; and our clock when the
    answer was there."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    seconds: float
    at: datetime

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """Why not, as the server says it."""
        said = " ".join(str(self.body.get("message") or self.body.get("error_code") or "").split())
        return f"{self.status} {said}"[:MESSAGE_LENGTH].strip()

    @property
    def ahead(self) -> float | None:
        """By how many seconds our clock is ahead of the server's, from -1 to 1 for the same; None if it doesn't say."""
        try:
            theirs = parsedate_to_datetime(self.headers["date"])
        except (KeyError, ValueError):
            return None
        # The header has whole seconds, and was written somewhere between our two moments.
        return (self.at - theirs.astimezone(UTC)).total_seconds() - self.seconds / 2 - 0.5


@dataclass(frozen=True, slots=True)
class Probe:
    """Sends to one host. `headers` show it who we are; they are asked for anew with each request."""

    host: str
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    timeout: float
    ca_file: str | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Answer:
        """One request, sent once.

        Raises:
            Unreachable: no answer; it may have had its effect.
        """
        import requests

        headers = dict(self.headers())
        started = self.now()
        try:
            with requests.request(
                method, f"{self.host}{path}", params=query, json=body, headers=headers, timeout=self.timeout,
                allow_redirects=False, stream=True, verify=self.ca_file or True,
            ) as answer:  # fmt: skip
                at = self.now()
                content = answer.raw.read(MOST_BYTES, decode_content=True)
        except requests.exceptions.SSLError as error:
            raise Unreachable(
                f"{self.host}: its certificate isn't trusted", hint="set REQUESTS_CA_BUNDLE to its authority's"
            ) from error
        except requests.exceptions.Timeout as error:
            raise Unreachable(
                f"{self.host} gave no answer within {self.timeout:g} s",
                hint=CHECK,
            ) from error
        except (requests.RequestException, OSError) as error:
            raise Unreachable(f"{self.host} can't be reached: {_reason(error)}", hint=CHECK) from error
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, found, _object(content), (at - started).total_seconds(), at)


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _reason(error: BaseException) -> str:
    """The innermost reason, as the operating system tells it: the outer ones repeat the whole address."""
    while error.__cause__ or error.__context__:
        error = cast("BaseException", error.__cause__ or error.__context__)
    return getattr(error, "strerror", None) or type(error).__name__

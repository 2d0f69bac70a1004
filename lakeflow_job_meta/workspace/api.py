"""Calls to the REST API through the SDK's client, in raw JSON, with our own rules on what may be sent twice.

The SDK repeats every request after a connection error, also the one that makes a job; and its dataclasses drop values
that they don't know. So: raw JSON, and a POST is sent by us, once, unless an answer says that it had no effect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential
from tenacity.wait import wait_base

from lakeflow_job_meta.errors import Denied, NotFound, Throttled, Unreachable, WorkspaceError
from lakeflow_job_meta.model.masking import secrets_in, without
from lakeflow_job_meta.workspace.calls import status_of
from lakeflow_job_meta.workspace.throttle import Throttle

PATIENCE_SECONDS = 60.0
"""How long a call is tried again before its failure counts."""

MESSAGE_LENGTH = 300

JSON = "application/json"


class Client(Protocol):
    """The part of databricks.sdk.core.ApiClient that we use."""

    def do(
        self,
        method: str,
        path: str | None = None,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        raw: bool = False,
        data: Any = None,
        response_headers: list[str] | None = None,
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Download:
    """A file's bytes, and those headers of the answer that were asked for."""

    data: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Request:
    """One call; `wanted` are headers of the answer, `limit` says that it is bytes, of which so many are read."""

    method: str
    path: str
    query: Mapping[str, Any] | None = None
    data: bytes | None = None
    content_type: str = JSON
    wanted: tuple[str, ...] = ()
    limit: int | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Api:
    """One workspace's REST API."""

    def __init__(self, client: Client, throttle: Throttle, patience: float = PATIENCE_SECONDS) -> None:
        self._client = client
        self._throttle = throttle
        self._patience = patience

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read; tried again after any failure that may pass.

        Raises:
            WorkspaceError: and its kinds.
        """
        return self._repeat(_Request("GET", path, query), safe=True)

    def send(self, method: str, path: str, body: Mapping[str, Any], *, safe: bool) -> dict[str, Any]:
        """Write; `safe` says that sending it twice does no harm, else it is repeated only where it had no effect.

        Raises:
            Unreachable: no answer came; with `safe` false it may have had its effect.
            WorkspaceError: and its kinds.
        """
        return self._repeat(_Request(method, path, None, json.dumps(body, allow_nan=False).encode()), safe=safe)

    def headers(self, path: str, wanted: tuple[str, ...]) -> dict[str, str]:
        """What a HEAD request tells, by lower-case name.

        Raises:
            WorkspaceError: and its kinds.
        """
        return self._repeat(_Request("HEAD", path, wanted=wanted), safe=True)

    def download(self, path: str, limit: int, wanted: tuple[str, ...] = ()) -> Download:
        """A file's bytes, of which no more than `limit` are read.

        Raises:
            WorkspaceError: and its kinds.
        """
        answer = self._repeat(_Request("GET", path, wanted=wanted, limit=limit), safe=True)
        return Download(answer.pop("contents"), answer)

    def upload(self, path: str, data: bytes, query: Mapping[str, Any]) -> None:
        """Write a file whole; the same again does no harm.

        Raises:
            WorkspaceError: and its kinds.
        """
        self._repeat(_Request("PUT", path, query, data, "application/octet-stream"), safe=True)

    def _repeat(self, request: _Request, *, safe: bool) -> dict[str, Any]:
        retrying = Retrying(
            stop=stop_after_delay(self._patience),
            wait=_Wait(),
            retry=retry_if_exception(_passes if safe else _had_no_effect),
            reraise=True,
        )
        return retrying(self._once, request)

    def _once(self, request: _Request) -> dict[str, Any]:
        self._throttle.take(request.path)
        from databricks.sdk.errors.base import DatabricksError
        from requests import RequestException

        try:
            answer = self._sent(request)
        except DatabricksError as error:
            raise _translated(error, request) from error
        except (RequestException, TimeoutError) as error:
            cause = error.__cause__
            if isinstance(cause, DatabricksError):
                raise _translated(cause, request) from error
            raise Unreachable(
                f"{request}: no answer from the workspace: {type(error).__name__}",
                hint="check the address and the network; what was sent may have had its effect",
            ) from error
        except json.JSONDecodeError as error:
            raise Unreachable(f"{request}: the answer isn't JSON") from error
        if not isinstance(answer, dict):
            raise WorkspaceError(f"{request}: expected a JSON object, found {type(answer).__name__}")
        return cast("dict[str, Any]", answer)

    def _sent(self, request: _Request) -> object:
        raw = request.limit is not None
        answer = self._client.do(
            request.method,
            request.path,
            query=dict(request.query) if request.query else None,
            headers={"Content-Type": request.content_type} if request.data is not None else None,
            raw=raw,
            # A bytearray is what the SDK takes for a stream that it can't rewind: it sends it once. With GET its own
            # repeats are harmless.
            data=None if request.data is None else bytearray(request.data),
            response_headers=list(request.wanted) or None,
        )
        if raw:
            with answer["contents"] as stream:
                answer["contents"] = stream.read(request.limit)
        return answer


class _Wait(wait_base):
    """As long as Retry-After says, otherwise longer each time, with jitter."""

    def __init__(self) -> None:
        self._jitter = wait_random_exponential(multiplier=0.2, max=10)

    def __call__(self, retry_state: Any) -> float:
        error = retry_state.outcome.exception()
        asked = getattr(error, "retry_after", None)
        return float(asked) if asked is not None else self._jitter(retry_state)


def _passes(error: BaseException) -> bool:
    return isinstance(error, Throttled | Unreachable) or (isinstance(error, WorkspaceError) and error.status >= 500)


def _had_no_effect(error: BaseException) -> bool:
    return isinstance(error, Throttled)


def _translated(error: Any, request: _Request) -> WorkspaceError:
    """The SDK's error as ours. Its message is the server's, which may quote what it was sent: not the secrets in it."""
    code = str(getattr(error, "error_code", "") or "")
    sent = json.loads(request.data) if request.data and request.content_type == JSON else None
    said = without(str(error), secrets_in(sent))
    text = f"{request}: {said.splitlines()[0] if said else code}"[:MESSAGE_LENGTH]
    status = status_of(error)
    if status == 429:
        throttled = Throttled(text, hint="the workspace limits calls; lower `concurrency`", status=429, error_code=code)
        throttled.retry_after = getattr(error, "retry_after_secs", None)
        return throttled
    kind: type[WorkspaceError] = {403: Denied, 401: Denied, 404: NotFound}.get(status, WorkspaceError)
    hint = "check the token and its permissions" if kind is Denied else ""
    return kind(text, hint=hint, status=status, error_code=code)

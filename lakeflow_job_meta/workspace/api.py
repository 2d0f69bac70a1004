"""Calls to the REST API through the SDK's client, in raw JSON, with our own rules on what may be sent twice.

The SDK repeats every request after a connection error, also the one that makes a job; and its dataclasses drop values
that they don't know. So: raw JSON, and a POST is sent by us, once, unless an answer says that it had no effect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol, cast

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential
from tenacity.wait import wait_base

from lakeflow_job_meta.errors import Denied, NotFound, Throttled, Unreachable, WorkspaceError
from lakeflow_job_meta.workspace.throttle import Throttle

PATIENCE_SECONDS = 60.0
"""How long a call is tried again before its failure counts."""

MESSAGE_LENGTH = 300


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
        data: Any = None,
    ) -> Any: ...


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
        return self._repeat("GET", path, query, None, safe=True)

    def send(self, method: str, path: str, body: Mapping[str, Any], *, safe: bool) -> dict[str, Any]:
        """Write; `safe` says that sending it twice does no harm, else it is repeated only where it had no effect.

        Raises:
            Unreachable: no answer came; with `safe` false it may have had its effect.
            WorkspaceError: and its kinds.
        """
        return self._repeat(method, path, None, body, safe=safe)

    def _repeat(
        self, method: str, path: str, query: Mapping[str, Any] | None, body: Mapping[str, Any] | None, *, safe: bool
    ) -> dict[str, Any]:
        retrying = Retrying(
            stop=stop_after_delay(self._patience),
            wait=_Wait(),
            retry=retry_if_exception(_passes if safe else _had_no_effect),
            reraise=True,
        )
        return retrying(self._once, method, path, query, body)

    def _once(
        self, method: str, path: str, query: Mapping[str, Any] | None, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        self._throttle.take(path)
        from databricks.sdk.errors.base import DatabricksError
        from requests import RequestException

        # A bytearray is what the SDK takes for a stream that it can't rewind: it sends it once. With GET its own
        # repeats are harmless.
        data = None if body is None else bytearray(json.dumps(body, allow_nan=False).encode())
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            answer = self._client.do(method, path, query=dict(query) if query else None, headers=headers, data=data)
        except DatabricksError as error:
            raise _translated(error, f"{method} {path}") from error
        except (RequestException, TimeoutError) as error:
            cause = error.__cause__
            if isinstance(cause, DatabricksError):
                raise _translated(cause, f"{method} {path}") from error
            raise Unreachable(
                f"{method} {path}: no answer from the workspace: {type(error).__name__}",
                hint="check the address and the network; what was sent may have had its effect",
            ) from error
        except json.JSONDecodeError as error:
            raise Unreachable(f"{method} {path}: the answer isn't JSON") from error
        if not isinstance(answer, dict):
            raise WorkspaceError(f"{method} {path}: expected a JSON object, found {type(answer).__name__}")
        return cast("dict[str, Any]", answer)


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


def _translated(error: Any, call: str) -> WorkspaceError:
    """The SDK's error as ours. Its message is the server's; bodies of requests aren't in it."""
    code = str(getattr(error, "error_code", "") or "")
    text = f"{call}: {str(error).splitlines()[0] if str(error) else code}"[:MESSAGE_LENGTH]
    status = _status(error)
    if status == 429:
        throttled = Throttled(text, hint="the workspace limits calls; lower `concurrency`", status=429, error_code=code)
        throttled.retry_after = getattr(error, "retry_after_secs", None)
        return throttled
    kind: type[WorkspaceError] = {403: Denied, 401: Denied, 404: NotFound}.get(status, WorkspaceError)
    hint = "check the token and its permissions" if kind is Denied else ""
    return kind(text, hint=hint, status=status, error_code=code)


def _status(error: Any) -> int:
    """The HTTP status; the SDK keeps it only as the class of the error."""
    from databricks.sdk.errors import platform

    for status, kind in platform.STATUS_CODE_MAPPING.items():
        if isinstance(error, kind):
            return status
    return 500 if "internal" in type(error).__name__.lower() else 400

"""The server as an ASGI application: who may come in, which service answers, how errors look."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any, cast

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response

from lakeflow_job_meta.local.call import Answer, Call, Caller, Options, Refusal, Route, reply
from lakeflow_job_meta.local.faults import Rule, parse_rules
from lakeflow_job_meta.local.routes import RouteTable
from lakeflow_job_meta.local.runs.wiring import Running
from lakeflow_job_meta.local.state import MAX_ID, State, new_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOG = logging.getLogger("lakeflow_job_meta.local")
USER = "me@local.test"
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
REMEMBERED_REQUESTS = 20_000
CONTROL = "/local/"
ALIVE = "/local/alive"
"""Tells which process answers; needs no token and isn't counted, since no client of Databricks would ask."""


class Dropped(Exception):
    """The connection is to be cut without an answer."""


class Application:
    """Every handler runs to its end before the next begins, so that no two effects ever interleave."""

    def __init__(self, state: State, options: Options, token: str) -> None:
        self._state = state
        self._options = options
        self._token = token.encode()
        self._routes = RouteTable()
        self._rules: list[Rule] = []
        self._requests: deque[tuple[str, str]] = deque(maxlen=REMEMBERED_REQUESTS)
        self._total = 0
        self.workspace_id = int(state.setting("workspace_id", str(new_id())))
        self.last_request = time.monotonic()
        self.active = 0
        self._running: Running | None = None

    @property
    def busy(self) -> bool:
        """Whether a request or a run is under way."""
        return self.active > 0 or (self._running is not None and self._running.runner.busy)

    def open(self, url: str) -> None:
        """Take up the runs; to be called in the loop, before the first request."""
        self._running = Running(self._state, self._options, url)
        if self._running.lost:
            LOG.warning("%d runs were under way when the server before this one ended: lost", self._running.lost)

    def close(self) -> None:
        """End the runs under way."""
        if self._running is not None:
            self._running.close()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.active += 1
        try:
            answer = await self._guarded(scope, receive)
            headers = {**answer.headers, "content-type": answer.content_type}
            await Response(answer.body, answer.status, headers)(scope, receive, send)
        except Dropped:
            await _cut(send)
        finally:
            self.active -= 1
            if not _is_open(scope["path"]):
                # To look whether the server is there is not to use it.
                self.last_request = time.monotonic()

    async def _guarded(self, scope: MutableMapping[str, Any], receive: Receive) -> Answer:
        """An answer whatever happens; what nobody foresaw is a 500 whose reason is in the log only."""
        started, method, path = time.perf_counter(), scope["method"], scope["path"]
        try:
            answer = await self._answered(scope, receive)
        except Refusal as refusal:
            body = {"error_code": refusal.error_code, "message": refusal.message}
            answer = reply(body, refusal.status, refusal.headers)
        except UnicodeEncodeError:
            # Half of a surrogate pair is legal in JSON and nowhere else.
            message = "The request holds text that isn't Unicode."
            answer = reply({"error_code": "MALFORMED_REQUEST", "message": message}, 400)
        except Dropped:
            LOG.info("%s %s dropped", method, path)
            raise
        except Exception:
            # The edge of the process: one request that goes wrong must not end the server for all others.
            LOG.exception("%s %s failed", method, path)
            answer = reply({"error_code": "INTERNAL_ERROR", "message": "Unexpected error; see server.log."}, 500)
        LOG.debug("%s %s %s %.1f ms", answer.status, method, path, (time.perf_counter() - started) * 1000)
        return answer

    async def _answered(self, scope: MutableMapping[str, Any], receive: Receive) -> Answer:
        headers = Headers(scope=scope)
        _check_host(headers)
        method, path = cast("str", scope["method"]), cast("str", scope["path"])
        if path == ALIVE:
            return reply({"pid": os.getpid()})
        if path.startswith(CONTROL):
            self._authenticated(headers)
            return self._control(method, path, await _body(receive, headers, self._options.max_body_bytes))
        self._requests.append((method, path))
        self._total += 1
        caller = Caller(self.workspace_id, USER) if _is_open(path) else self._authenticated(headers)
        route, parts = self._routes.find(method, path)
        files = path.startswith("/api/2.0/fs/files/")
        limit = self._options.max_file_bytes if files else self._options.max_body_bytes
        body = await _body(receive, headers, limit)
        query = dict(QueryParams(scope["query_string"]))
        now = time.time_ns() // 1_000_000
        if self._running is None:
            raise RuntimeError("a request before the application was opened")
        runner = self._running.runner
        call = Call(method, path, query, headers, body, parts, caller, self._state, self._options, now, runner)
        return await self._with_faults(route, call)

    async def _with_faults(self, route: Route, call: Call) -> Answer:
        if not self._rules:
            return route.handler(call)
        struck = [rule for rule in self._rules if rule.hit(call.method, call.path)]
        for rule in struck:
            if rule.action == "strip":
                call = replace(call, body=rule.stripped(call.body))
            elif rule.when == "before" and (answer := await _suffer(rule)) is not None:
                return answer
        answer: Answer | None = None
        refusal: Refusal | None = None
        try:
            answer = route.handler(call)
        except Refusal as refused:
            refusal = refused  # a fault after the effect strikes a refused call too
        for rule in struck:
            if rule.when == "after" and rule.action != "strip" and (changed := await _suffer(rule)) is not None:
                return changed
        if answer is None:
            raise refusal or RuntimeError("a handler gave no answer")
        return answer

    def _authenticated(self, headers: Headers) -> Caller:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            message = "Credential was not sent or was of an unsupported type for this API."
            raise Refusal(401, "UNAUTHENTICATED", message)
        if self._options.token_per_workspace:
            workspace, _, user = token.partition("/")
            return Caller(_workspace_of(workspace), user or USER, admin=not user)
        if not hmac.compare_digest(token.encode(), self._token):
            raise Refusal(403, "PERMISSION_DENIED", "Invalid access token.")
        return Caller(self.workspace_id, USER)

    def _control(self, method: str, path: str, body: bytes) -> Answer:
        """What isn't Databricks: the record of requests, which benchmarks count by, and, with `--faults`, faults."""
        if path == "/local/requests" and method == "GET":
            listed = [{"method": each[0], "path": each[1]} for each in self._requests]
            counts = Counter(f"{each[0]} {each[1]}" for each in self._requests)
            return reply({"total": self._total, "counts": counts, "requests": listed})
        if path == "/local/requests" and method == "DELETE":
            self._requests.clear()
            self._total = 0
            return reply({})
        if path == "/local/faults" and self._options.faults:
            if method == "POST":
                self._rules = parse_rules(_json(body))
            elif method == "DELETE":
                self._rules = []
            return reply({"rules": [rule.shown() for rule in self._rules]})
        raise Refusal(404, "ENDPOINT_NOT_FOUND", f"{method} {path} is not served; faults need --faults.")


def _is_open(path: str) -> bool:
    """Whether a path needs no token, and asking for it is no use of the server."""
    return path == ALIVE or path.startswith("/.well-known/")


async def _suffer(rule: Rule) -> Answer | None:
    """Carry out a rule; None if the call goes on."""
    if rule.action == "delay":
        await asyncio.sleep(rule.seconds)
        return None
    if rule.action == "kill":
        with contextlib.suppress(ProcessLookupError):
            os.kill(rule.pid, signal.SIGKILL)
    if rule.action in ("drop", "kill"):
        raise Dropped
    return rule.answer()


async def _cut(send: Send) -> None:
    # ASGI has no word for cutting a connection: reach uvicorn's transport behind the bound method that it passes.
    cycle = cast("Any", send).__self__
    cycle.transport.abort()
    while not cycle.disconnected:
        await asyncio.sleep(0)


async def _body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: 413, if it is longer than the limit.
        Dropped: the client went away.
    """
    length = headers.get("content-length", "0")
    too_long = Refusal(413, "MAX_REQUEST_SIZE_EXCEEDED", f"The body is longer than {limit} bytes.")
    if length.isdecimal() and int(length) > limit:
        raise too_long
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Dropped
        part = cast("bytes", message.get("body", b""))
        size += len(part)
        if size > limit:
            raise too_long
        parts.append(part)
        more = bool(message.get("more_body", False))
    return b"".join(parts)


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refusal(400, "MALFORMED_REQUEST", f"Invalid JSON: {error}") from None


def _check_host(headers: Headers) -> None:
    """Only loopback names: a web page whose name resolves to this machine must not get in."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in HOSTS:
        raise Refusal(403, "PERMISSION_DENIED", "This server answers loopback names only.")


def _workspace_of(token: str) -> int:
    """A workspace's id from its token; the same token opens the same workspace after a restart."""
    return 10**12 + int.from_bytes(hashlib.sha256(token.encode()).digest()[:8]) % (MAX_ID - 10**12)

"""Source systems for tests: the example servers, for real over HTTP, with faults injected in front of them."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "source_stage"
sys.path.insert(0, str(EXAMPLE))

JSON = b"application/json"


@dataclass
class Fault:
    """What a path answers instead; from its `after`th request on, so many times (0: for ever)."""

    path: str
    answer: Callable[[Send], Any]
    times: int = 0
    after: int = 0
    seen: int = 0

    def strikes(self, path: str) -> bool:
        if not path.endswith(self.path):
            return False
        self.seen += 1
        return self.seen > self.after and (not self.times or self.seen <= self.after + self.times)


def answering(status: int, body: bytes = b"{}", kind: bytes = JSON, **headers: str) -> Callable[[Send], Any]:
    """An answer of this status; header names have `_` for `-`."""

    async def answer(send: Send) -> None:
        own = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *own]})
        await send({"type": "http.response.body", "body": body})

    return answer


def trickling(seconds: float) -> Callable[[Send], Any]:
    """An answer that sends a byte now and then, so that no read ever times out."""

    async def answer(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", JSON)]})
        for _ in range(round(seconds / 0.05)):
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"[]"})

    return answer


@dataclass
class Api:
    """A running API: its address, the faults in front of it, and what it was asked."""

    app: ASGIApp
    url: str = ""
    delay: float = 0.0
    faults: list[Fault] = field(default_factory=list[Fault])
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    bodies: list[bytes] = field(default_factory=list[bytes])
    most_at_once: int = 0
    _now: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], headers))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            fault = next((each for each in self.faults if each.strikes(scope["path"])), None)
            await (fault.answer(send) if fault else self.app(scope, receive, send))
        finally:
            self._now -= 1

    def fault(self, path: str, answer: Callable[[Send], Any], **when: int) -> None:
        self.faults.append(Fault(path, answer, **when))

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]


@contextmanager
def running(app: ASGIApp, certificate: tuple[Path, Path] | None = None) -> Iterator[Api]:
    """Serve an app on a free port, faults in front; by https where there is a certificate (and its key)."""
    api = Api(app)
    shown, key = certificate or (None, None)
    config = uvicorn.Config(
        api, host="127.0.0.1", port=0, log_level="error", lifespan="off", ssl_certfile=shown, ssl_keyfile=key
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    host = "https://localhost" if certificate else "http://127.0.0.1"
    api.url = f"{host}:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


async def hook(scope: Scope, receive: Receive, send: Send) -> None:
    """A web hook that takes everything."""
    await answering(204, b"")(send)

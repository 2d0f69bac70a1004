"""A receiver of web hooks: a real HTTP server that keeps what it gets, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """One message: its headers by lower-case name, and its bytes."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came in. `answers` are statuses to give first; after them it is 204."""

    url: str = ""
    messages: list[Received] = field(default_factory=list[Received])
    answers: list[int] = field(default_factory=list[int])
    location: str = ""


@contextmanager
def receiver() -> Generator[Receiver]:
    """A receiver on a port of its own."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.messages.append(Received(headers, self.rfile.read(length)))
            self.send_response(kept.answers.pop(0) if kept.answers else 204)
            if kept.location:
                self.send_header("Location", kept.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

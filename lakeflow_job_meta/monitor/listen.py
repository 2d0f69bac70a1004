"""A small HTTP server on loopback for whoever watches the monitor: pages that can be read, and nothing else."""

from __future__ import annotations

import ipaddress
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import cast

from lakeflow_job_meta.errors import UsageError

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0
"""How long a reader may take to send its request."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    body: bytes
    content_type: str
    status: int = HTTPStatus.OK


Pages = Mapping[str, Callable[[], Page]]
"""What is to be read, by path."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: an IP address of this machine alone, and a port; 0 lets the system choose one.

    >>> Address.parse("localhost:9108").url
    'http://127.0.0.1:9108'
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `127.0.0.1:9108`, `localhost:9108` or `[::1]:9108`.

        Raises:
            UsageError: no such address, or one that others can reach.
        """
        host, _, port = text.rpartition(":")
        host = "127.0.0.1" if host == "localhost" else host.strip("[]")
        try:
            address, number = ipaddress.ip_address(host), int(port)
        except ValueError as error:
            raise UsageError(
                f"can't listen on '{text}': it isn't an address and a port", hint="write it as 127.0.0.1:9108"
            ) from error
        if not address.is_loopback:
            raise UsageError(
                f"can't listen on {text}: {host} can be reached from elsewhere, and there is no login",
                hint=f"listen on 127.0.0.1:{number}, and put a proxy with a login before it",
            )
        if not 0 <= number <= 65535:
            raise UsageError(f"can't listen on {text}: a port is 0 to 65535")
        return cls(host, number)

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@contextmanager
def listening(address: Address, pages: Pages) -> Generator[Address]:
    """Answer requests in threads of their own for as long as the context lasts; gives the address in use.

    Raises:
        UsageError: the port is in use, or may not be used.
    """
    kind = _Server6 if ":" in address.host else _Server
    try:
        server = kind((address.host, address.port), _Handler)
    except OSError as error:
        raise UsageError(
            f"can't listen on {address.url}: {error.strerror or error}", hint="choose another port"
        ) from error
    server.pages = pages
    thread = threading.Thread(target=server.serve_forever, name="listen", daemon=True)
    thread.start()
    try:
        yield Address(address.host, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    pages: Pages

    def handle_error(self, request: object, client_address: object) -> None:
        # A reader that went away, mostly; never a matter of the loop.
        logger.debug("a request could not be answered", exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE_SECONDS

    def version_string(self) -> str:
        return "lakeflow-job-meta"

    def do_GET(self) -> None:
        self._answer(self._page())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer(_text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD"))

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST

    def _page(self) -> Page:
        pages = cast("_Server", self.server).pages
        page = pages.get(self.path.partition("?")[0])
        return page() if page else _text(HTTPStatus.NOT_FOUND, f"there is {', '.join(pages)}")

    def _answer(self, page: Page) -> None:
        self.send_response(page.status)
        if page.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class calls it so
        logger.debug(format, *arguments)


def _text(status: HTTPStatus, text: str) -> Page:
    return Page(f"{status.phrase}: {text}\n".encode(), "text/plain; charset=utf-8", status)

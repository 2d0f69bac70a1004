"""A SQL warehouse for tests: Spark's own Thrift server behind TLS, a token and faults.

It shares the Spark session that it is given, so that both see the same tables.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import TMemoryBuffer, TTransportException

from lakeflow_job_meta.settings import PRODUCT
from lakeflow_job_meta.store.databricks_sql import SqlStore
from lakeflow_job_meta.store.warehouse import WarehouseConnection
from lakeflow_job_meta.store.warehouse_address import Access, Address
from tests.certificate import certificate
from tests.parity.thrift_front import Front

PATH = "/sql/1.0/warehouses/1234567890abcdef"
TOKEN_PATH = "/oidc/v1/token"


@dataclass
class Fault:
    """One mishap of the next call of this name whose statement matches.

    `drop` cuts the connection, `expire` ends the session first, `status` answers with an HTTP status, `hold` lets the
    call wait until `release` is set. `before` or `after` the call has its effect, or when it has `begun`.
    """

    call: str
    action: str
    statement: str = ""
    when: str = "before"
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    times: int = 1
    struck: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def hits(self, call: str, statement: str, when: str) -> bool:
        return self.times > 0 and (self.call, self.when) == (call, when) and bool(re.search(self.statement, statement))


class Cut(TTransportException):
    """The connection ends without an answer."""


class Refused(TTransportException):
    """The answer is an HTTP status."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.status = status
        self.headers = headers


class Calls:
    """The front's calls as the Thrift processor wants them, with faults and a record."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []

    def OpenSession(self, request: Any) -> Any:
        return self._call("OpenSession", self.front.OpenSession, request)

    def CloseSession(self, request: Any) -> Any:
        return self._call("CloseSession", self.front.CloseSession, request)

    def ExecuteStatement(self, request: Any) -> Any:
        return self._call("ExecuteStatement", self.front.ExecuteStatement, request)

    def GetOperationStatus(self, request: Any) -> Any:
        return self._call("GetOperationStatus", self.front.GetOperationStatus, request)

    def CancelOperation(self, request: Any) -> Any:
        return self._call("CancelOperation", self.front.CancelOperation, request)

    def CloseOperation(self, request: Any) -> Any:
        return self._call("CloseOperation", self.front.CloseOperation, request)

    def GetResultSetMetadata(self, request: Any) -> Any:
        return self._call("GetResultSetMetadata", self.front.GetResultSetMetadata, request)

    def FetchResults(self, request: Any) -> Any:
        return self._call("FetchResults", self.front.FetchResults, request)

    def _call(self, name: str, carry_out: Callable[[Any], Any], request: Any) -> Any:
        statement = getattr(request, "statement", None) or ""
        self.seen.append((name, statement))
        self._strike(name, statement, "before", request)
        try:
            answer = carry_out(request)
        except (TApplicationException, TTransportException, OSError) as error:
            raise Refused(500, {"x-databricks-reason-phrase": type(error).__name__}) from error
        self._strike(name, statement, "begun", request)
        if any(each.hits(name, statement, "after") for each in self.faults):
            if name == "ExecuteStatement" and answer.operationHandle:
                self.front.finish(answer.operationHandle)
            self._strike(name, statement, "after", request)
        return answer

    def _strike(self, name: str, statement: str, when: str, request: Any) -> None:
        for fault in [each for each in self.faults if each.hits(name, statement, when)]:
            fault.times -= 1
            fault.struck.set()
            if fault.action == "drop":
                raise Cut
            if fault.action == "status":
                raise Refused(fault.status, fault.headers)
            if fault.action == "expire":
                self.front.CloseSession(request)
            if fault.action == "hold":
                fault.release.wait(60)


@dataclass
class Logins:
    """Who may come in: whoever holds the token, or the last of those that the service principal was given.

    Those are good for a second, as the answer to the principal says.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    client_id: str = "a-service-principal"
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    minted: list[str] = field(default_factory=list[str], repr=False)

    def admits(self, header: str | None) -> bool:
        return header in {f"Bearer {each}" for each in (self.token, *self.minted[-1:])}

    def mint(self, header: str | None) -> dict[str, Any] | None:
        """A new token for the service principal, as OAuth answers; None for anybody else."""
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if header != f"Basic {expected}":
            return None
        self.minted.append(secrets.token_urlsafe(24))
        return {"access_token": self.minted[-1], "token_type": "Bearer", "expires_in": 1}


@dataclass(frozen=True)
class WarehouseServer:
    """A running warehouse: its address, who may use it, the file that makes its certificate trusted."""

    port: int
    logins: Logins
    ca_file: Path
    calls: Calls
    connections: list[WarehouseConnection] = field(default_factory=list[WarehouseConnection], repr=False)

    @property
    def host(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def url(self) -> str:
        return self.host + PATH

    @property
    def address(self) -> Address:
        return Address.parse(f"warehouse:{self.url}")

    def connection(self, token: str | None = None, ca_file: Path | None = None) -> WarehouseConnection:
        """A new connection, of somebody who holds the token."""
        headers = {"Authorization": f"Bearer {token or self.logins.token}"}
        access = Access("localhost", self.port, lambda: headers, str(ca_file or self.ca_file))
        self.connections.append(WarehouseConnection(self.address, lambda: access))
        return self.connections[-1]

    def store(self, *, table_defaults: str = PRODUCT) -> SqlStore:
        """A store on a connection of its own, as another process has one."""
        return SqlStore(self.connection(), table_defaults=table_defaults)

    def fault(self, call: str, action: str, statement: str = "", **more: Any) -> Fault:
        """Set one fault, beside those set before."""
        made = Fault(call, action, statement, **more)
        self.calls.faults.append(made)
        return made

    @contextmanager
    def holding(self, call: str, statement: str) -> Generator[Fault]:
        """Keep the next such call waiting until the block ends; `struck` is set when it has come."""
        fault = self.fault(call, "hold", statement)
        try:
            yield fault
        finally:
            fault.release.set()

    def close(self) -> None:
        """End what the connections made here left open."""
        self.calm()
        while self.connections:
            self.connections.pop().close()

    def calm(self) -> None:
        """No faults any more, and nothing remembered."""
        for fault in self.calls.faults:
            fault.release.set()
        self.calls.faults.clear()
        self.calls.seen.clear()
        self.logins.minted.clear()
        self.calls.front.arrow, self.calls.front.direct_seconds = True, 5.0

    def statements(self) -> list[str]:
        """The statements that came since the last calm."""
        return [statement for name, statement in self.calls.seen if name == "ExecuteStatement"]

    def count(self, call: str) -> int:
        """How many calls of this name came since the last calm."""
        return sum(name == call for name, _ in self.calls.seen)


def start_thrift_server(spark: Any) -> str:
    """Let the JVM of this session serve Thrift over HTTP too; the address. It ends with the JVM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    jvm, session = spark._jvm, spark._jsparkSession
    jvm.java.lang.System.setProperty("derby.stream.error.file", os.devnull)  # else derby.log comes to be right here
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    for name, value in (
        ("transport.mode", "http"),
        ("thrift.http.port", str(port)),
        ("thrift.http.path", "cliservice"),
        ("thrift.bind.host", "127.0.0.1"),
    ):
        hadoop.set(f"hive.server2.{name}", value)
    jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2.startWithContext(session.sqlContext())
    return f"http://127.0.0.1:{port}/cliservice"


@contextmanager
def running_warehouse(upstream: str, folder: Path) -> Generator[WarehouseServer]:
    """A warehouse in front of this Thrift server, with a certificate and tokens of its own.

    Args:
        upstream: What `start_thrift_server` returned.
        folder: Where the certificate goes.
    """
    shown, key = certificate(folder)
    logins, calls = Logins(), Calls(Front(upstream))
    server = _Server(("127.0.0.1", 0), _Handler)
    server.logins, server.processor = logins, TCLIService.Processor(calls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, key)
    # The handshake is left to each connection's own thread: here it would keep all others waiting.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    running = WarehouseServer(server.server_port, logins, shown, calls)
    try:
        yield running
    finally:
        running.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    logins: Logins
    processor: Any

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or that doesn't trust us, is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == TOKEN_PATH:
            self._answer_json(self.server.logins.mint(self.headers.get("Authorization")), 401)
            return
        if not self.server.logins.admits(self.headers.get("Authorization")):
            self._answer(403, b"", {"x-databricks-reason-phrase": "Invalid access token."})
            return
        if self.path != PATH:
            self._answer(404, b"", {"x-databricks-reason-phrase": "The warehouse does not exist."})
            return
        answer = TMemoryBuffer()
        try:
            self.server.processor.process(TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(answer))
        except Refused as refused:
            self._answer(refused.status, b"", refused.headers)
        except Cut:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._answer(200, answer.getvalue(), {"Content-Type": "application/x-thrift"})

    def do_GET(self) -> None:
        here = f"https://{self.headers['Host']}"
        endpoints = {"authorization_endpoint": here, "token_endpoint": here + TOKEN_PATH}
        known = {
            "/.well-known/databricks-config": {"oidc_endpoint": f"{here}/oidc"},
            "/oidc/.well-known/oauth-authorization-server": endpoints,
        }
        self._answer_json(known.get(self.path), 404)

    def _answer_json(self, data: Mapping[str, Any] | None, otherwise: int) -> None:
        body = json.dumps(data or {}).encode()
        self._answer(200 if data else otherwise, body, {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Silent."""

"""The store on a Databricks SQL warehouse, by databricks-sql-connector.

The driver repeats requests by itself, also a statement whose answer was lost on its way, and so may write twice. It is
told never to: what may be sent again is decided here, and that is what had no effect and what only reads.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, cast

from lakeflow_job_meta.errors import SqlError, StoreError, UsageError
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.connection import Parameters
from lakeflow_job_meta.store.databricks_sql import SqlStore
from lakeflow_job_meta.store.engine_errors import error_of
from lakeflow_job_meta.store.warehouse_address import Access, Address, access_of
from lakeflow_job_meta.store.warehouse_failure import STATUSES, WAITED, Failure, Kind, Patience
from lakeflow_job_meta.store.warehouse_rows import rows_of

CALL_SECONDS = 60.0
"""How long one request may take, and how long a statement that runs is asked about without an answer. A statement
itself may take any time."""

QUIET_SECONDS = 5.0
"""After so long without the first answer of all, people are told what is waited for."""

CLOSE_SECONDS = 3.0

OPTIONS: Mapping[str, Any] = {
    "_enable_v3_retries": False,
    "_retry_stop_after_attempts_count": 1,
    # Should a later driver not know the first one any more: it gives up rather than wait for a second try.
    "_retry_stop_after_attempts_duration": 1.0,
    "_socket_timeout": CALL_SECONDS,
    "enable_telemetry": False,
    "use_cloud_fetch": False,  # big results come from the host too, not from a storage that it names
    "user_agent_entry": "lakeflow_job_meta",
    "session_configuration": {"TIMEZONE": "UTC"},
}
"""How the driver is to behave: no tries of its own, no talk to anybody but the host."""

_READS = re.compile(r"(?:\s|\(|--[^\n]*\n)*(?:SELECT|SHOW|DESCRIBE|DESC|EXPLAIN|VALUES|TABLE|(WITH))\b", re.IGNORECASE)
_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
_OLD_MARKER = re.compile(r"%\(\w+\)s")
_GONE = re.compile(r"Invalid (?:Session|Operation)Handle|INVALID_HANDLE", re.IGNORECASE)
_CLASS = r"[\w.$]+(?:Exception|Error):\s+"
_WRAPPING = re.compile(rf"(?:{_CLASS}|Error (?:running query|operating \w+):\s+|\[[\w.]+\]\s+(?={_CLASS}))+")
"""What Spark's servers put before the message: names of Java classes."""
_REFUSED = re.compile(r"(?:Analysis|Parse|IllegalArgument)Exception")


def warehouse_store(settings: Settings) -> SqlStore:
    """The store on the warehouse that the settings name; nothing is imported, read or sent yet.

    Raises:
        UsageError: they name none.
    """
    address = Address.parse(settings.store)
    connection = WarehouseConnection(address, lambda: access_of(settings, address))
    return SqlStore(connection, table_defaults=settings.table_defaults)


class WarehouseConnection:
    """The connection protocol over the driver's sessions: one for each thread, so that nobody waits for another's
    statement. A session whose thread has ended goes to the next thread that comes.

    Args:
        address: Which warehouse.
        access: Tells where it is reached and who we are; asked when the first statement comes.
    """

    def __init__(self, address: Address, access: Callable[[], Access]) -> None:
        self._address = address
        self._make_access = access
        self._lock = threading.Lock()
        self._sessions: dict[threading.Thread, _Session] = {}
        self._answered = False
        weakref.finalize(self, _close_all, self._sessions)

    @property
    def label(self) -> str:
        return f"warehouse {self._address.id}"

    def run(self, statement: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        given = _sendable(statement, parameters or {})
        reads, patience, renewed = only_reads(statement), Patience(self.label), False
        while True:
            session = self._session()
            worn = session.is_open
            try:
                with self._telling(patience):
                    session.open()
                    rows = session.run(statement, given)
                self._answered = True
                return rows
            except Failure as failure:
                if failure.kind is Kind.ANSWERED:
                    raise _refusal(failure.text) from failure.__cause__
                # The server gives up what it still does for a session that is closed: nothing of it comes later.
                self._drop(session)
                if failure.kind in WAITED:
                    patience.wait(failure)
                elif not renewed and _may_renew(failure.kind, worn=worn, reads=reads):
                    renewed = True
                else:
                    raise failure.told(self.label, writing=not reads) from failure.__cause__
            except BaseException:
                self._drop(session)
                raise

    def close(self) -> None:
        """End all sessions, as the end of the process does; another statement opens a new one."""
        _close_all(self._sessions)

    @cached_property
    def _access(self) -> Access:
        return self._make_access()

    def _session(self) -> _Session:
        """This thread's session, which may have to be opened yet."""
        with self._lock:
            me = threading.current_thread()
            if me not in self._sessions:
                ended = next((each for each in self._sessions if not each.is_alive()), None)
                found = self._sessions.pop(ended) if ended else _Session(self._address.path, self._access)
                self._sessions[me] = found
            return self._sessions[me]

    def _drop(self, session: _Session) -> None:
        with self._lock:
            self._sessions.pop(threading.current_thread(), None)
        session.close()

    @contextmanager
    def _telling(self, patience: Patience) -> Generator[None]:
        """Tell people that they wait, where the very first answer takes long."""
        if self._answered:
            yield
            return
        timer = threading.Timer(QUIET_SECONDS, patience.tell, ("no answer yet, it may be starting",))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class _Session:
    """One session of the driver, for one thread at a time. Whatever goes wrong comes as a Failure."""

    def __init__(self, path: str, access: Access) -> None:
        self._path = path
        self._access = access
        self._connection: Any = None
        self._cursor: Any = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        """Make the session unless there is one."""
        if self.is_open:
            return
        driver = _driver()
        self._check_login()
        try:
            self._connection = driver.connect(
                server_hostname=self._access.host,
                http_path=self._path,
                _port=self._access.port,
                _tls_trusted_ca_file=self._access.ca_file,
                credentials_provider=_Credentials(self._access.headers),
                **OPTIONS,
            )
        except _errors() as error:
            failure = _failure_of(error)
            # Nothing was to be done yet, so nothing can have been.
            kind = Kind.UNREACHED if failure.kind is Kind.BROKEN else failure.kind
            raise Failure(kind, failure.text, failure.wait) from error
        # One for ever: the driver keeps all that it ever made.
        self._cursor = self._connection.cursor()

    def run(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run one statement; its rows."""
        cursor = self._cursor
        self._check_login()
        cursor.active_command_id = None
        try:
            self._execute(statement, parameters)
            rows = rows_of(cursor)
        except _errors() as error:
            raise self._judged(error) from error
        with suppress(*_errors()):
            cursor.active_result_set.close()  # what was to be done is done, and told, whatever comes of this
        return rows

    def close(self) -> None:
        """End the session, which ends what runs in it; quickly, or not at all."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*_errors()):
                _transport(connection).setTimeout(CLOSE_SECONDS * 1000)
                connection.close()

    def _execute(self, statement: str, parameters: Mapping[str, Any]) -> None:
        cursor = self._cursor
        try:
            cursor.execute(statement, dict(parameters) or None)
        except _driver().exc.RequestError as error:
            if error.context.get("method") != "GetOperationStatus":
                raise
            # The statement was taken and goes on; only an answer about it was lost.
            self._follow()

    def _follow(self) -> None:
        """Ask about the running statement until it has ended, then get its result."""
        heard = time.monotonic()
        while True:
            try:
                pending = self._cursor.is_query_pending()
                heard = time.monotonic()
                if not pending:
                    break
            except _driver().exc.RequestError:
                if time.monotonic() - heard > CALL_SECONDS:
                    raise
            time.sleep(0.5)
        self._cursor.get_async_execution_result()

    def _judged(self, error: BaseException) -> Failure:
        """The failure, seen in the light of how far the statement had come."""
        failure = _failure_of(error)
        retry_after = _transport(self._connection).headers.get("Retry-After") if failure.kind is Kind.BUSY else None
        taken = self._cursor.active_command_id is not None and failure.kind is not Kind.ANSWERED
        # A 503 from the warehouse itself says when to come again. One without comes from something on the way to it,
        # which doesn't know what became of the request.
        if taken or (failure.kind is Kind.BUSY and failure.text.startswith("HTTP 503") and retry_after is None):
            return Failure(Kind.BROKEN, failure.text)
        return failure

    def _check_login(self) -> None:
        """Get what says who we are, which may need a new token, before anything depends on it."""
        try:
            self._access.headers()
        except (OSError, ValueError) as error:
            text = str(error).partition("\n")[0][:300] or type(error).__name__
            raise StoreError(f"no login to {self._access.host}: {text}", hint="log in again") from error


class _Credentials:
    """Who we are, as the driver asks for it: with each request."""

    def __init__(self, headers: Callable[[], Mapping[str, str]]) -> None:
        self._headers = headers

    def auth_type(self) -> str:
        return "databricks-sdk"

    def __call__(self) -> Callable[[], dict[str, str]]:
        # In lower case the driver passes `authorization` on as it is. Else it would keep a token for an hour, and
        # exchange one that wasn't issued by the host, which the SDK does as the user set it up.
        return lambda: {name.lower(): value for name, value in self._headers().items()}


def only_reads(statement: str) -> bool:
    """Whether the statement surely changes nothing, so that it may be run twice.

    >>> only_reads("-- all\\nSELECT 1"), only_reads("WITH s AS (SELECT 1) INSERT INTO t SELECT * FROM s")
    (True, False)
    """
    found = _READS.match(statement)
    return found is not None and not (found[1] and _WRITES.search(statement))


def _may_renew(kind: Kind, *, worn: bool, reads: bool) -> bool:
    """Whether the statement may be tried once more in a new session."""
    return kind is Kind.EXPIRED or (kind is Kind.BROKEN and reads) or (kind in (Kind.DENIED, Kind.MISSING) and worn)


def _sendable(statement: str, parameters: Parameters) -> dict[str, Any]:
    if parameters and (found := _OLD_MARKER.search(statement)):
        raise SqlError(f"{found[0]} in a statement with parameters", hint="the driver takes it for one: write :name")
    try:
        for text in (statement, *(value for value in parameters.values() if isinstance(value, str))):
            text.encode()
    except UnicodeEncodeError as error:
        raise SqlError(f"half of a character can't be sent: {error.reason}") from error
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
        for name, value in parameters.items()
    }


def _refusal(text: str) -> Exception:
    """What the engine says, as our error."""
    wrapping = _WRAPPING.match(text)
    classes = wrapping[0] if wrapping else ""
    # The classes last: they say what kind of error it is where the message has no condition.
    return error_of(f"{text[len(classes) :]}\n{classes}", wrong=bool(_REFUSED.search(classes)))


def _driver() -> Any:
    """The driver's module, made quiet before it speaks: what goes wrong reaches us as an exception."""
    logger = logging.getLogger("databricks.sql")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        from databricks import sql
    except ImportError as error:
        raise UsageError(
            "the driver for SQL warehouses isn't installed", hint="pip install 'lakeflow-job-meta[warehouse]'"
        ) from error
    return sql


def _errors() -> tuple[type[BaseException], ...]:
    """All that the driver lets through, be it its own or not."""
    from urllib3.exceptions import HTTPError

    return (_driver().exc.Error, HTTPError, OSError, ValueError, EOFError, ImportError)


def _transport(connection: Any) -> Any:
    """What the driver sends its requests with: nothing else has their time limit, and the headers of the answers."""
    return connection.session.backend._transport


def _failure_of(error: BaseException) -> Failure:
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    driver = _driver().exc
    if isinstance(error, driver.RequestError):
        context: dict[str, Any] = cast("Any", error).context
        status = int(context.get("http-code") or 0)
        said = str(context.get("error-message") or "").strip(" :")
        kind = Kind.EXPIRED if _GONE.search(said) else STATUSES.get(status, Kind.BROKEN)
        if status >= 400:
            wait = float(context.get("bounded-retry-delay") or 0) if kind is Kind.BUSY else None
            return Failure(kind, f"HTTP {status}: {said}".strip(" :"), wait)
    elif isinstance(error, driver.Error):
        gone = not isinstance(error, driver.ServerOperationError) and _GONE.search(str(error))
        return Failure(Kind.EXPIRED if gone else Kind.ANSWERED, str(error))
    chain = _chain(error)
    shown = f"{type(chain[-1]).__name__}: {chain[-1]}".partition("\n")[0][:300]
    if any(isinstance(each, NewConnectionError | ConnectTimeoutError) for each in chain):
        return Failure(Kind.UNREACHED, shown)
    untrusted = any(isinstance(each, ssl.SSLCertVerificationError) for each in chain)
    return Failure(Kind.UNTRUSTED if untrusted else Kind.BROKEN, shown)


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and what is behind it, down to the first cause."""
    found = [error]
    while True:
        last = found[-1]
        behind = [getattr(last, "reason", None), *last.args, last.__cause__]
        deeper = next((each for each in behind if isinstance(each, BaseException) and each not in found), None)
        if deeper is None:
            return found
        found.append(deeper)


def _close_all(sessions: Mapping[threading.Thread, _Session]) -> None:
    for session in list(sessions.values()):
        session.close()

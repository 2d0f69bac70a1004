"""SQL tasks: in warm worker processes, on the embedded tables, through the store's front door or by Spark."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakeflow_job_meta.local.tasks.environment import plain
from lakeflow_job_meta.local.tasks.order import Ending, Execution, TaskOrder, TaskResult
from lakeflow_job_meta.local.tasks.sql_text import Unbound, bound

FAILED = "Workload failed, see run output for details"
KEPT_IDLE_SECONDS = 300.0


class Worker:
    """One warm process; answers one request at a time."""

    def __init__(self, home: Path, log: Path, engine: str) -> None:
        command = [sys.executable, "-m", "lakeflow_job_meta.local.tasks.sql_worker", str(home), engine]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=plain(os.environ), cwd="/"
            )
        self.idle_since = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
        """Its answer, or None if it died before it gave one.

        Raises:
            TimeoutError: it took longer than so many seconds (0: for ever), and was ended.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a worker without pipes")
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            return None
        if seconds and not select.select([stdout], [], [], seconds)[0]:
            self.kill()
            raise TimeoutError
        line = stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        _ = self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


class Pool:
    """Workers of one home folder and one engine (see call.ENGINES): one that is idle is taken again, else another is
    started."""

    def __init__(self, home: Path, log: Path, engine: str) -> None:
        self._home = home
        self._log = log
        self._engine = engine
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def take(self) -> Worker:
        """A worker for one task."""
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
        return Worker(self._home, self._log, self._engine)

    def give_back(self, worker: Worker) -> None:
        """Take back what may serve another task; those idle for long are ended."""
        worker.idle_since = time.monotonic()
        with self._lock:
            old = [each for each in self._idle if worker.idle_since - each.idle_since > KEPT_IDLE_SECONDS]
            self._idle = [each for each in self._idle if each not in old]
            if worker.alive:
                self._idle.append(worker)
        for each in old:
            each.kill()

    def close(self) -> None:
        """End all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()


class SqlExecutor:
    """Carries out `sql_task`s of queries and files.

    Args:
        pool: the workers.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def start(self, order: TaskOrder) -> Execution:
        """Start it; a worker is taken, or started if none is idle."""
        return _SqlExecution(self._pool, order)


class _SqlExecution:
    def __init__(self, pool: Pool, order: TaskOrder) -> None:
        self._pool = pool
        self._order = order
        self._worker: Worker | None = pool.take()
        self._canceled = False
        self._lock = threading.Lock()

    def wait(self) -> TaskResult:
        worker = self._worker
        sql: Mapping[str, Any] = self._order.task["sql_task"]
        text, defaults = _text_of(sql)
        if text is None:
            kind = next((each for each in ("dashboard", "alert") if each in sql), "such a")
            message = f"The embedded workspace can't run a SQL task of {kind}; it runs queries and files."
            return self._done(TaskResult(Ending.FAILED, message, error=message))
        try:
            statement = bound(text, sql.get("parameters", {}), defaults)
        except Unbound as problem:
            return self._done(TaskResult(Ending.FAILED, FAILED, error=f"[UNBOUND_SQL_PARAMETER] {problem}"))
        request = {"text": statement.text, "parameters": dict(statement.parameters)}
        try:
            answer = worker.ask(request, self._order.timeout_seconds) if worker is not None else None
        except TimeoutError:
            message = f"The task ran longer than its timeout of {self._order.timeout_seconds:g} seconds."
            return self._done(TaskResult(Ending.TIMEDOUT, message, error=message))
        if answer is None:
            if self._canceled:
                return self._done(TaskResult(Ending.CANCELED, "Run cancelled by user"))
            error = "The process that ran the statements died; it may have run out of memory."
            return self._done(TaskResult(Ending.FAILED, FAILED, error=error))
        return self._done(_result(answer, sql, text))

    def cancel(self) -> None:
        with self._lock:
            worker, self._canceled = self._worker, True
            if worker is not None:
                worker.kill()

    def _done(self, result: TaskResult) -> TaskResult:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            self._pool.give_back(worker)
        return result


def _text_of(sql: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    if query := sql.get("query"):
        return query.get("query_text", ""), query.get("defaults", {})
    if file := sql.get("file"):
        return file.get("content", ""), {}
    return None, {}


def _result(answer: Mapping[str, Any], sql: Mapping[str, Any], text: str) -> TaskResult:
    query = {
        "query_text": text, "warehouse_id": sql.get("warehouse_id", ""), "endpoint_id": sql.get("warehouse_id", ""),
        "sql_statements": [{"lookup_key": uuid.uuid4().hex} for _ in range(answer["statements"])],
    }  # fmt: skip
    shown = {name: answer[name] for name in ("columns", "rows", "row_count") if name in answer}
    output = {"sql_output": {"query_output": query}, **({"local": shown} if shown else {})}
    read, written = answer["rows_read"], answer["rows_written"]
    if error := answer.get("error"):
        return TaskResult(Ending.FAILED, FAILED, output, error, rows_read=read, rows_written=written)
    return TaskResult(Ending.SUCCESS, "", output, rows_read=read, rows_written=written)

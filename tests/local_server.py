"""Embedded workspaces for tests: real servers in processes of their own, spoken to over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config

from lakeflow_job_meta.workspace.launcher import LocalServer, ensure_local, stop_local


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered, raw."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.data["error_code"]

    @property
    def message(self) -> str:
        return str(self.data["message"])


@dataclass(frozen=True, slots=True)
class Site:
    """A running server and its home."""

    home: Path
    server: LocalServer

    @property
    def pid(self) -> int:
        return int(json.loads((self.home / "local" / "server.json").read_text())["pid"])

    def client(self, token: str | None = None) -> WorkspaceClient:
        """The real SDK, whatever the environment holds; it gives up soon."""
        return WorkspaceClient(
            config=Config(
                host=self.server.url,
                token=token or self.server.token,
                auth_type="pat",
                retry_timeout_seconds=5,
                config_file=os.devnull,
            )
        )

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One raw request on a connection of its own; a body that isn't bytes goes as JSON."""
        sent = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", int(self.server.url.rpartition(":")[2]), timeout=20)
        try:
            auth = {"Authorization": f"Bearer {token or self.server.token}"}
            connection.request(method, path, sent, {**auth, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def fault(self, **rule: Any) -> None:
        """Set one fault, instead of those set before; the server needs `--faults`."""
        assert self.call("POST", "/local/faults", [rule]).status == 200

    def no_faults(self) -> None:
        assert self.call("DELETE", "/local/faults").status == 200

    def requests(self) -> list[tuple[str, str]]:
        """Method and path of all requests since `forget_requests`."""
        return [(each["method"], each["path"]) for each in self.call("GET", "/local/requests").data["requests"]]

    def forget_requests(self) -> None:
        self.call("DELETE", "/local/requests")

    def kill(self) -> None:
        """End the server as `kill -9` does."""
        os.kill(self.pid, signal.SIGKILL)

    def restart(self, *flags: str) -> Site:
        """The same home with a new server; `flags` are the new one's."""
        stop_local(self.home)
        return Site(self.home, ensure_local(self.home, flags))


@contextmanager
def running_server(home: Path, *flags: str) -> Generator[Site]:
    """A server of this home, started with these flags and ended afterwards.

    Example:
        with running_server(tmp_path, "--faults", "--token-per-workspace") as site:
            site.client("any token").jobs.list()
    """
    try:
        yield Site(home, ensure_local(home, flags))
    finally:
        stop_local(home)


def notebook_task(key: str = "a", *after: str, **more: Any) -> dict[str, Any]:
    """A task that the service accepts."""
    needs = {"depends_on": [{"task_key": each} for each in after]} if after else {}
    return {"task_key": key, "notebook_task": {"notebook_path": "/Shared/n"}, **needs, **more}


def job(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Settings of a job that the service accepts: one notebook task, unless told otherwise."""
    return {"name": "j", "tasks": list(tasks) or [notebook_task()], **more}

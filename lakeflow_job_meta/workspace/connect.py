"""Which workspace, and the client for it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeflow_job_meta.errors import UsageError, WorkspaceError
from lakeflow_job_meta.settings import LOCAL, RUNTIME, Settings
from lakeflow_job_meta.workspace.api import PATIENCE_SECONDS, Api
from lakeflow_job_meta.workspace.calls import Calls, CountedClient
from lakeflow_job_meta.workspace.jobs import ApiJobs
from lakeflow_job_meta.workspace.launcher import LocalServer, ensure_local
from lakeflow_job_meta.workspace.local_files import ApiLocalFiles
from lakeflow_job_meta.workspace.queries import ApiQueries
from lakeflow_job_meta.workspace.runs import ApiRuns
from lakeflow_job_meta.workspace.throttle import NO_THROTTLE, RATES, Throttle

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config

DATABRICKS = "databricks"
"""Means: whatever the SDK finds by itself (environment, default profile, runtime)."""

CALL_SECONDS = 30
"""How long a call may take; a third of the lease's default time to live, see engine.lease."""

KNOWN_FILE = "workspaces.json"

ME = "/api/2.0/preview/scim/v2/Me"

_SERVICE_PRINCIPALS: dict[str, Callable[[Config], str | None]] = {
    "oauth-m2m": lambda config: config.client_id,
    "azure-client-secret": lambda config: config.azure_client_id,
}
"""Logins of service principals, and their application ids."""


@dataclass
class Workspace:
    """A workspace that nobody has called yet: the client, and with it the SDK, come with the first call.

    `address` tells workspaces apart: LOCAL, or the host. It is empty where only the SDK can tell which host a profile
    means today. With an address the id is asked for once and then remembered in the home folder, so that a run that
    finds nothing to do needs no request at all. `calls` counts what was sent by `api`; `patience` is how many seconds
    one call is tried again.
    """

    address: str
    home: Path
    make_client: Callable[[], WorkspaceClient]
    throttle: Throttle
    calls: Calls = field(default_factory=Calls)
    patience: float = PATIENCE_SECONDS

    @cached_property
    def client(self) -> WorkspaceClient:
        """The SDK client in use."""
        return self.make_client()

    @cached_property
    def label(self) -> str:
        """What people are told: the host, whatever profile led to it."""
        if self.address == LOCAL:
            return f"local ({self.home})"
        return f"Databricks ({self.address or self.client.config.host})"

    @cached_property
    def api(self) -> Api:
        """The REST API in raw JSON."""
        client = CountedClient(self.client.api_client, self.calls)  # pyright: ignore[reportArgumentType] - untyped in the SDK
        return Api(client, self.throttle, self.patience)

    @cached_property
    def jobs(self) -> ApiJobs:
        return ApiJobs(self.api)

    @cached_property
    def local_files(self) -> ApiLocalFiles:
        """Files of this machine, put into the workspace."""
        return ApiLocalFiles(self.api)

    @cached_property
    def runs(self) -> ApiRuns:
        return ApiRuns(self.api)

    def queries(self, folder: str) -> ApiQueries:
        """Saved queries in a folder of this name."""
        return ApiQueries(self.api, folder)

    @cached_property
    def principal(self) -> str:
        """Who we are there, where this machine's user doesn't tell: a service principal's id, of which no request has
        to be made; inside of Databricks, where every process is root, the user's name. Otherwise empty."""
        if self.address == LOCAL:
            return ""
        config = self.client.config
        if told := _SERVICE_PRINCIPALS.get(str(config.auth_type)):
            return told(config) or ""
        if not os.environ.get(RUNTIME):
            return ""
        try:
            return str(self.api.get(ME).get("userName") or "")
        except WorkspaceError:
            return ""  # what follows tells whether the workspace can be reached; a name is no reason to stop

    @cached_property
    def id(self) -> str:
        """The workspace's id, as text.

        Raises:
            WorkspaceError: it can't be told.
        """
        known = _read_known(self.home)
        if self.address and self.address in known:
            return known[self.address]
        found = _ask_id(self.client)
        if self.address:
            _write_known(self.home, {**known, self.address: found})
        return found


def connect(
    settings: Settings, client: WorkspaceClient | None = None, *, patience: float = PATIENCE_SECONDS
) -> Workspace:
    """The workspace that the settings or the client name. No call is made yet."""
    home, throttle = settings.home, Throttle({**RATES, **settings.rates})
    limits = {"retry_timeout_seconds": patience, "http_timeout_seconds": min(patience, CALL_SECONDS)}
    if client is not None:
        return Workspace("", home, lambda: client, throttle, patience=patience)
    if settings.workspace == LOCAL:
        # Nobody published rates for it: only those that somebody asked for.
        asked = Throttle(settings.rates) if settings.rates else NO_THROTTLE
        return Workspace(LOCAL, home, lambda: _local_client(ensure_local(home), limits), asked, patience=patience)
    if re.match(r"https?://", settings.workspace):
        host = settings.workspace.rstrip("/")
        return Workspace(host, home, lambda: _client(host=host, **limits), throttle, patience=patience)
    arguments = {} if settings.workspace == DATABRICKS else {"profile": settings.workspace}
    return Workspace("", home, lambda: _client(**arguments, **limits), throttle, patience=patience)


def login(settings: Settings, host: str = "") -> Config:
    """The SDK's login to the workspace of the settings, or with the same profile to another host.

    A token is the same for both; everything else is asked for by host.
    """
    if settings.workspace != LOCAL:
        config = connect(settings).client.config
        if not host or config.host == host or config.auth_type == "pat":
            return config
    is_profile = settings.workspace not in (LOCAL, DATABRICKS) and not re.match(r"https?://", settings.workspace)
    arguments = {"profile": settings.workspace} if is_profile else {}
    # A host with a certificate of its own refuses the SDK's first look at it, which matters little: no long wait then.
    return _client(host=host, retry_timeout_seconds=5, **arguments).config


def _local_client(server: LocalServer, limits: Mapping[str, float]) -> WorkspaceClient:
    """The client of the embedded workspace.

    Everything is given, so that no DATABRICKS_* variable or profile of the user can point elsewhere. The host comes
    last: a host that the SDK is given it asks at once what it is (`/.well-known/databricks-config`), and we know that.
    """
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config
    from databricks.sdk.credentials_provider import credentials_strategy

    @credentials_strategy("pat", ["token"])
    def with_token(config: Config) -> Callable[[], dict[str, str]]:
        return lambda: {"Authorization": f"Bearer {config.token}"}

    given: dict[str, Any] = {each.name: "" for each in Config.attributes() if each.env and each.transform is str}
    given |= {"token": server.token, "workspace_id": str(server.workspace_id), "auth_type": "pat", **limits}
    given["config_file"] = os.devnull
    config = Config(credentials_strategy=with_token, **given)
    config.host = server.url
    return WorkspaceClient(config=config)


def _client(**arguments: Any) -> WorkspaceClient:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config

    options: dict[str, Any] = {"retry_timeout_seconds": 60, "http_timeout_seconds": CALL_SECONDS, **arguments}
    try:
        config = Config(**options)
        return WorkspaceClient(config=config)
    except ValueError as error:
        raise UsageError(
            f"the Databricks SDK can't connect: {str(error).splitlines()[0]}",
            hint="log in with the databricks CLI, or set DATABRICKS_HOST and DATABRICKS_TOKEN",
        ) from error


def _ask_id(client: WorkspaceClient) -> str:
    from databricks.sdk.errors.base import DatabricksError
    from requests import RequestException

    try:
        return str(client.config.workspace_id or client.get_workspace_id())
    except (DatabricksError, RequestException, TimeoutError, ValueError, KeyError) as error:
        raise WorkspaceError(
            f"the workspace doesn't tell its id: {type(error).__name__}", hint="check the address and the token"
        ) from error


def _read_known(home: Path) -> dict[str, str]:
    try:
        return json.loads((home / KNOWN_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{home / KNOWN_FILE} can't be read: {error}", hint="delete it") from error


def _write_known(home: Path, known: dict[str, str]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    fresh = home / f"{KNOWN_FILE}.{os.getpid()}"
    fresh.write_text(json.dumps(known, indent=2), "utf-8")
    fresh.replace(home / KNOWN_FILE)

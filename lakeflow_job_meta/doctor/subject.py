"""What is examined: settings, workspace and tables, each opened when the first check asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from lakeflow_job_meta.control.tables import KINDS, LEDGER, ControlTables
from lakeflow_job_meta.model.table import TableInfo, TableName
from lakeflow_job_meta.settings import LOCAL, Settings
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import ME, Workspace, connect
from lakeflow_job_meta.workspace.probe import Answer, Probe

RETRY_SECONDS = 2.0
"""How long the SDK may try the same again: an answer that doesn't come is a finding."""


@dataclass
class Subject:
    """What is examined.

    Args:
        load: gives the settings.
        timeout: seconds that one check may take, unless it is a slow one.
        write: checks that write may do so.
        volume: a path of a volume, or empty.
        now: our clock.
        given_store: where the tables live; by default what the settings name.

    `workspace_id` is known once the workspace has let us in.
    """

    load: Callable[[], Settings]
    timeout: float
    write: bool = False
    volume: str = ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    given_store: Store | None = None
    workspace_id: str = ""

    @cached_property
    def settings(self) -> Settings:
        return self.load()

    @cached_property
    def workspace(self) -> Workspace:
        return connect(self.settings, patience=max(1.0, min(RETRY_SECONDS, self.timeout / 2)))

    @cached_property
    def probe(self) -> Probe:
        """One request at a time to the workspace, with our login."""
        config = self.workspace.client.config
        return Probe(str(config.host).rstrip("/"), config.authenticate, self.timeout, now=self.now)

    @cached_property
    def first_answer(self) -> Answer:
        """What comes back from there at all; without a login where the settings name the host, since to log in may take
        long where nobody is."""
        host = self.workspace.address
        probe = Probe(host, dict, self.timeout, now=self.now) if host not in ("", LOCAL) else self.probe
        return probe.send("GET", ME)

    @cached_property
    def store(self) -> Store:
        return self.given_store or open_store(self.settings)

    @cached_property
    def tables(self) -> ControlTables:
        return ControlTables.of(TableName.parse(self.settings.require_control_table()))

    @cached_property
    def infos(self) -> dict[str, TableInfo | None]:
        """Our tables as the store finds them, by kind."""
        return self.tables.infos(self.store, (*KINDS, *LEDGER))

    @property
    def control(self) -> TableInfo:
        """The control table; only for checks that need it."""
        return self.tables.require(self.store)

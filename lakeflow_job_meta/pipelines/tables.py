"""The registry's tables as declarations, how they come to be, and their rows at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lakeflow_job_meta.control.schema_version import Standing, refuse_newer, refuse_others
from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.table import Row, TableInfo, TableName, TableSpec
from lakeflow_job_meta.pipelines.registry import DEFAULT_TEMPLATE
from lakeflow_job_meta.store.base import Store, TableStore, one_look

TABLES, SOURCES, DESTINATIONS, STAGES = REGISTERED = (
    "pipeline_config", "sources_config", "destinations_config", "pipeline_stages",
)  # fmt: skip
"""What people declare."""

RUNS, STAGE_LOGS = RECORDED = ("pipeline_runs_master", "pipeline_run_stage_logs")
"""What runs record."""

KINDS = (*REGISTERED, *RECORDED)

ENDPOINTS: Mapping[str, str] = {SOURCES: "source", DESTINATIONS: "destination"}
"""The prefix of the columns of each table of databases."""

RegistryRows = Mapping[str, tuple[Row, ...]]
"""Rows by the kind of their table; bad and doubled ones too."""

BUILT_IN_STAGES: Sequence[Row] = tuple(
    {"id": order, "pipeline_name": DEFAULT_TEMPLATE, "stage_order": order, "stage_name": name, "stage_type": kind}
    for order, (kind, name) in enumerate(
        (
            ("driver_check", "Check both ends"),
            ("extract", "Extract into the data lake"),
            ("load", "Load into the sink"),
            ("verify", "Verify what was moved"),
        ),
        start=1,
    )
)
"""The template `default`, which an empty pipeline_stages gets. verify comes last, so that it sees what load did too."""


@cache
def _schema(kind: str) -> dict[str, Any]:
    folder = resources.files("lakeflow_job_meta.pipelines") / "dataset" / "schemas"
    return json.loads((folder / f"{kind}.json").read_text("utf-8"))


@cache
def _spec(name: TableName) -> TableSpec:
    return TableSpec.from_json(name, _schema(name.name))


@dataclass(frozen=True, slots=True)
class RegistryTables:
    """Where one registry's tables are.

    >>> str(RegistryTables("main", "pipelines").spec("pipeline_config").name)
    'main.pipelines.pipeline_config'
    """

    catalog: str
    schema: str

    @classmethod
    def beside(cls, control_table: str, schema: str) -> RegistryTables:
        """The registry in the catalog of a control table."""
        return cls(TableName.parse(control_table).catalog, schema)

    def spec(self, kind: str) -> TableSpec:
        """The declaration of a table."""
        return _spec(TableName(self.catalog, self.schema, kind))

    @property
    def names(self) -> dict[str, str]:
        """The full names by kind."""
        return {kind: str(self.spec(kind).name) for kind in KINDS}

    def ensure(self, store: TableStore) -> list[TableName]:
        """Make those tables that don't exist, and the template `default` where no stage is declared.

        Returns:
            The names of the tables that were made.

        Raises:
            StoreError: a table is of another schema version; none was made.
        """
        infos = {kind: store.info(self.spec(kind).name) for kind in KINDS}
        refuse_others([Standing.of(self.spec(kind), info) for kind, info in infos.items() if info is not None])
        if not any(infos.values()):
            store.ensure_schema(self.catalog, self.schema)
        specs = [self.spec(kind) for kind, info in infos.items() if info is None]
        made = [spec.name for spec in specs if store.create(spec)]
        stages = self.spec(STAGES)
        if not store.read(stages.name, columns=["id"]).rows:
            store.append(stages, BUILT_IN_STAGES)
        return made

    def infos(self, store: Store, kinds: Sequence[str] = REGISTERED) -> dict[str, TableInfo | None]:
        """What the store says of each table."""
        return {kind: store.info(self.spec(kind).name) for kind in kinds}

    def read(self, store: Store, kinds: Sequence[str] = REGISTERED) -> RegistryRows:
        """All rows, as they are now.

        Raises:
            TableNotFound: there is no registry.
            StoreError: a table is of a newer schema version.
        """
        with one_look(store):
            return self._read(store, kinds)

    def _read(self, store: Store, kinds: Sequence[str]) -> RegistryRows:
        infos = self.infos(store, kinds)
        missing = [self.spec(kind).name for kind, info in infos.items() if info is None]
        if missing:
            raise TableNotFound(
                f"there is no pipeline registry: {missing[0]} doesn't exist in {store.label}",
                hint="`ljm pipelines load FILE` or `ljm pipelines add` makes it",
            )
        refuse_newer([Standing.of(self.spec(kind), info) for kind, info in infos.items() if info is not None])
        return {kind: store.read(self.spec(kind).name).rows for kind in kinds}

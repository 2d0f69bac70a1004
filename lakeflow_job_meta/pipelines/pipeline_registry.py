"""PipelineRegistry: what is registered to be moved, and the control rows that follow from it. Wiring only."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic, nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableName
from lakeflow_job_meta.pipelines.check import check_registry
from lakeflow_job_meta.pipelines.check.findings import row_name
from lakeflow_job_meta.pipelines.check.runs import LOOKED_AT, check_runs
from lakeflow_job_meta.pipelines.creds import masked_creds
from lakeflow_job_meta.pipelines.naming import SOURCE, Resolved, lake_table, module_name, resolve
from lakeflow_job_meta.pipelines.register import Registering, RegisterReport
from lakeflow_job_meta.pipelines.registry import Direction, RegisteredTable
from lakeflow_job_meta.pipelines.registry_export import export_text
from lakeflow_job_meta.pipelines.registry_file import Declared, DeclaredRow
from lakeflow_job_meta.pipelines.rows import endpoints_of, templates_of
from lakeflow_job_meta.pipelines.secret_import import SCOPE, SecretImport
from lakeflow_job_meta.pipelines.sync import Syncing, SyncReport
from lakeflow_job_meta.pipelines.tables import (
    ENDPOINTS,
    RECORDED,
    SOURCES,
    TABLES,
    RegistryTables,
)
from lakeflow_job_meta.pipelines.templates import stages_of, template_of
from lakeflow_job_meta.pipelines.uuid7 import RANDOM_BITS, uuid7
from lakeflow_job_meta.settings import Settings, load_settings
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import connect

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from lakeflow_job_meta.store.base import TableStore


class PipelineRegistry:
    """The pipeline registry beside one control table.

    Args:
        control_table: `catalog.schema.table`; the registry is in the same catalog.
        store: where the tables live; by default what the settings name.
        workspace_client: a databricks.sdk WorkspaceClient for volumes and secret scopes; by default the workspace that
            the settings name.

    Example:
        registry = PipelineRegistry("main.etl.control")
        print(registry.load_yaml("metadata/pipelines"))
        print(registry.sync())
    """

    def __init__(
        self,
        control_table: str,
        store: TableStore | None = None,
        *,
        settings: Settings | None = None,
        workspace_client: WorkspaceClient | None = None,
    ) -> None:
        self.settings = settings or load_settings({"control_table": control_table}, os.environ)
        self.store = store or open_store(self.settings)
        self.control = ControlTables.of(TableName.parse(control_table))
        self.tables = RegistryTables.beside(control_table, self.settings.pipelines_schema)
        self._workspace = connect(self.settings, workspace_client)

    def ensure_exists(self) -> list[str]:
        """Make those of the registry's tables that don't exist; returns their names.

        Raises:
            StoreError: a table is of another schema version than this product's.
        """
        return [str(name) for name in self.tables.ensure(self.store)]

    def check(self) -> list[Diagnostic]:
        """Everything that is wrong with what is registered and with recorded runs, also where rows came by SQL.

        Raises:
            TableNotFound: there is no registry.
        """
        rows = dict(self.tables.read(self.store))
        found = [each.diagnostic for each in check_registry(rows, self.tables, self.settings.lake_schema)]
        for kind in RECORDED:
            rows[kind] = self.store.read(self.tables.spec(kind).name, columns=LOOKED_AT[kind]).rows
        return [*found, *(each.diagnostic for each in check_runs(rows, self.tables))]

    def load_yaml(self, path: str | Path) -> RegisterReport:
        """Register what a YAML file, or all in a folder, declare: all or nothing, touching only rows that differ.

        Args:
            path: a file or folder; `/Volumes/…` is read through the Files API where it isn't mounted.

        Raises:
            InputError: with every finding of every file; nothing was written.
        """
        from lakeflow_job_meta.ingest.volume import find_at
        from lakeflow_job_meta.pipelines.registry_files import read_registry

        return self._registering().put(*read_registry(find_at(path, self._workspace)))

    def export_yaml(self, path: str | Path) -> Path:
        """Write the registry as YAML that load_yaml reads back without any change; returns the file.

        Args:
            path: the file, or a folder that exists.

        Raises:
            InputError: what is registered wouldn't load, or the file can't be written.
        """
        from lakeflow_job_meta.ingest.export import write_whole

        rows = self.tables.read(self.store)
        found = check_registry(rows, self.tables, self.settings.lake_schema)
        target = Path(path) / "registry.yml" if Path(path).is_dir() else Path(path)
        text = export_text(rows, found, f"{self.tables.catalog}.{self.tables.schema}")
        write_whole(target, text)
        return target

    def import_sqlite(self, path: str | Path, secret_scope: str | None = None) -> RegisterReport:
        """Register what a SQLite file has in the registry's tables; what runs recorded in it is left there.

        Args:
            path: the file.
            secret_scope: move secrets that are written out into this scope of the workspace; without it they are
                findings.

        Raises:
            InputError: with every finding; nothing was registered.
        """
        from lakeflow_job_meta.pipelines.sqlite_registry import read_sqlite

        declared, found = read_sqlite(Path(path), self.tables)
        if not secret_scope:
            return self._registering().put(declared, found)
        moving = SecretImport(self._workspace.api, secret_scope)
        return self._registering().put(moving.from_declared(declared), found, moving.keep)

    def import_secrets(self, scope: str = SCOPE) -> list[str]:
        """Move secrets that rows hold into a secret scope of the workspace; returns the references that stand there.

        Older versions of the tables still hold them: VACUUM them, and change the passwords.

        Raises:
            WorkspaceError: the workspace doesn't take one; its row is as it was.
        """
        _ = self.tables.read(self.store)
        return SecretImport(self._workspace.api, scope).from_registry(self.store, self.tables)

    def add(self, kind: str, values: Mapping[str, Any]) -> RegisterReport:
        """Register one row, or change what is said of one that is registered.

        Args:
            kind: the table: `pipeline_config`, `sources_config`, `destinations_config` or `pipeline_stages`.
            values: its columns.

        Raises:
            InputError: with every finding; nothing was written.
        """
        from lakeflow_job_meta.diagnostics import RowLocation

        where = RowLocation(self.tables.names[kind], row_name(kind, values))
        row = DeclaredRow(kind, values, lambda column: RowLocation(where.table, where.module, column=column))
        return self._registering().put(Declared([row]))

    def set_active(self, name: str, active: bool, directions: Collection[Direction] = tuple(Direction)) -> bool:
        """Switch a table's pipeline on or off, both directions or one; returns whether that changed anything.

        Raises:
            InputError: no such table is registered.
        """
        spec = self.tables.spec(TABLES)
        _ = self.row(TABLES, name)

        def decide(snapshot: Snapshot) -> Changes:
            wanted = {f"{direction}_is_active": active for direction in directions}
            rows = [row for row in snapshot.rows if any(row[column] is not active for column in wanted)]
            return Changes(tuple({**row, **wanted} for row in rows))

        return self.store.transact(spec, decide, where={"source_tablename": [name]}) is not None

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """The rows of one table as they may be shown: of credentials, no secret.

        Raises:
            TableNotFound: there is no registry.
        """
        return [shown(kind, row) for row in self.tables.read(self.store, [kind])[kind]]

    def row(self, kind: str, name: str) -> dict[str, Any]:
        """One row of it by name.

        Raises:
            InputError: there is none.
        """
        rows = {row_name(kind, row): row for row in self.rows(kind)}
        if name not in rows:
            raise InputError(
                f"no row of {self.tables.names[kind]} is '{name}'", hint=nearest(name, rows) or "`ljm pipelines list`"
            )
        return rows[name]

    def describe(self, name: str) -> dict[str, Any]:
        """A registered table: its row, the table of the lake, the template, and the module and stages of each
        direction.

        Raises:
            InputError: no such table is registered.
        """
        row = self.row(TABLES, name)
        rows = self.tables.read(self.store)
        table, templates = RegisteredTable.from_row(row), templates_of(rows)
        place = resolve(table.source_tablename, table.source_type, endpoints_of(rows, SOURCES), SOURCE)
        template = template_of(table, templates)
        lake = (
            lake_table(self.tables.catalog, self.settings.lake_schema, place) if isinstance(place, Resolved) else None
        )
        found = check_registry(rows, self.tables, self.settings.lake_schema)
        own = [
            each for each in found if each.kind == TABLES and rows[TABLES][each.position]["source_tablename"] == name
        ]
        return {
            **row,
            "lake_table": str(lake) if lake else None,
            "pipeline_name": template or None,
            "modules": {str(direction): module_name(name, direction) for direction in Direction},
            "stages": {
                str(direction): [asdict(stage) for stage in stages_of(templates.get(template, ()), direction)]
                for direction in Direction
            },
            "diagnostics": [each.diagnostic.to_dict() for each in own],
        }

    def sync(self, *, dry_run: bool = False) -> SyncReport:
        """Make the control table's generated rows equal to what is registered; writes only what differs.

        Args:
            dry_run: only tell what would be written.

        Raises:
            TableNotFound: there is no registry.
            InputError: the registry is empty, and generated rows are there.
        """
        self.control.ensure(self.store)
        return Syncing(self.store, self.control, self.tables, self.settings).run(datetime.now(UTC), dry_run=dry_run)

    def _registering(self) -> Registering:
        return Registering(self.store, self.tables, self.settings.lake_schema, new_id, datetime.now(UTC))


def new_id() -> str:
    """A UUID v7 of this moment."""
    return str(uuid7(time.time_ns() // 1_000_000, secrets.randbits(RANDOM_BITS)))


def shown(kind: str, row: Row) -> dict[str, Any]:
    """A row as people may see it."""
    if kind not in ENDPOINTS:
        return dict(row)
    column = f"{ENDPOINTS[kind]}_creds"
    return {**row, column: masked_creds(row.get(column)) if row.get(column) is not None else None}

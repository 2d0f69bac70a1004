"""MetadataManager: the control table's rows, loaded, exported, queried. Wiring only."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeflow_job_meta.control.changes import detect, parse_check, read_feed, with_timestamps
from lakeflow_job_meta.control.declared import read_declared
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.model.control import Source
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.settings import Settings, load_settings
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import connect

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from lakeflow_job_meta.control.migrations import Migrated, MigrationPlan, Step
    from lakeflow_job_meta.ingest.export import ExportReport
    from lakeflow_job_meta.ingest.report import LoadReport
    from lakeflow_job_meta.store.base import Store


class MetadataManager:
    """The metadata of one control table.

    Args:
        control_table: `catalog.schema.table`.
        store: where the tables live; by default what the settings name (the embedded store in `./.lakeflow`).
        workspace_client: a databricks.sdk WorkspaceClient for volumes; by default the workspace that the settings name.

    Example:
        manager = MetadataManager("main.etl.control")
        print(manager.load_yaml("metadata/modules"))
        manager.sql("UPDATE main.etl.control SET execution_order = 2 WHERE source_id = 'orders'")
    """

    def __init__(
        self,
        control_table: str,
        store: Store | None = None,
        *,
        settings: Settings | None = None,
        workspace_client: WorkspaceClient | None = None,
    ) -> None:
        self.settings = settings or load_settings({"control_table": control_table}, os.environ)
        self.store = store or open_store(self.settings)
        self.tables = ControlTables.of(TableName.parse(control_table))
        self._workspace = connect(self.settings, workspace_client)

    def ensure_exists(self) -> list[str]:
        """Make those of our tables that don't exist; returns their names.

        Raises:
            StoreError: a table is of another schema version than this product's; see plan_migration.
        """
        return [str(name) for name in self.tables.ensure(self.store)]

    def plan_migration(self) -> MigrationPlan:
        """What there is to do before this product can write tables that an earlier version of it made; does nothing.

        Raises:
            TableNotFound: there is no control table.
            StoreError: a later version of this product made one of the tables.
        """
        from lakeflow_job_meta.control.migrations import plan_migration

        return plan_migration(self.store, self.tables)

    def migrate(self, on_step: Callable[[TableName, Step], None] = lambda table, step: None) -> list[Migrated]:
        """Do what plan_migration tells, while no run is under way; each of the results knows what undoes it.

        Args:
            on_step: called as each step is done.

        Raises:
            ConflictError: a run is under way.
            StoreError: a step failed; to migrate again goes on from there.
        """
        from lakeflow_job_meta.control.migrations import Migrating

        ttl, timeout = self.settings.lease_seconds, self.settings.lock_timeout_seconds
        return Migrating(self.store, self.tables, ttl, timeout, on_step).migrate()

    def load_yaml(
        self, path: str | Path, on_conflict: str = "overwrite", deactivate_missing: bool = False
    ) -> LoadReport:
        """Load a YAML file, or all in a folder, into the table: all or nothing, touching only rows that differ.

        Args:
            path: a file or folder; `/Volumes/…` is read through the Files API where it isn't mounted.
            on_conflict: what to do with rows that were edited in the table since a file wrote them: `overwrite`,
                `keep`, or `fail`.
            deactivate_missing: set is_active = false for sources that this folder declared before and no longer does.

        Raises:
            InputError: with every finding of every file; nothing was written.
            ConflictError: rows were edited, and on_conflict is `fail`; nothing was written.
        """
        from lakeflow_job_meta.ingest.load import load
        from lakeflow_job_meta.ingest.volume import find_at

        self.ensure_exists()
        return load(
            self.store,
            self.tables,
            find_at(path, self._workspace),
            on_conflict=on_conflict,
            deactivate_missing=deactivate_missing,
            now=datetime.now(UTC),
        )

    def sync_from_volume(self, volume_path: str | Path) -> LoadReport:
        """Load all YAML files of a Unity Catalog volume; in the embedded workspace `/Volumes/c/s/v` is
        `<home>/volumes/c/s/v`."""
        return self.load_yaml(volume_path)

    def export_yaml(self, path: str | Path) -> ExportReport:
        """Write the table as YAML that load_yaml reads back without any change."""
        from lakeflow_job_meta.ingest.export import export_yaml

        self._refuse_newer()
        return export_yaml(self.store, self.tables, path)

    def detect_changes(self, last_check_timestamp: datetime | str | None = None) -> dict[str, list[Any]]:
        """What changed after a moment (None: ever), by timestamps.

        Returns:
            new_modules, updated_modules, deactivated_modules (names) and changed_sources (source_id, module_name,
            action: new, updated, deactivated or reactivated).
        """
        check = parse_check(last_check_timestamp)
        self._refuse_newer()
        declared = with_timestamps(self.store, self.tables, read_declared(self.store, self.tables))
        return detect(declared, read_feed(self.store, self.tables, check), check)

    def get_all_modules(self) -> list[str]:
        """The names of active modules: those with an active source that aren't switched off as a whole."""
        self._refuse_newer()
        declared = read_declared(self.store, self.tables)
        inactive = {module.module_name for module in declared.modules if not module.active}
        return sorted({source.module_name for source in declared.sources if source.active} - inactive)

    def get_module_sources(self, module: str) -> list[dict[str, Any]]:
        """The active rows of one module, by execution_order and source_id."""
        self._refuse_newer()
        snapshot = self.store.read(self.tables.control.name, where={"module_name": [module]})
        rows = [dict(row) for row in snapshot.rows if Source.from_row(row).active]
        return sorted(rows, key=lambda row: (row["execution_order"] or 0, row["source_id"]))

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Run Databricks SQL; the rows of the last statement.

        Raises:
            SqlError: a statement that is wrong or not supported.
        """
        self.tables.make(self.store)  # of whatever schema version: the statements are the user's own
        return self.store.sql(text)

    def _refuse_newer(self) -> None:
        self.tables.check_readable(self.store, "control", "modules")

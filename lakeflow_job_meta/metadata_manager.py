"""MetadataManager: the control table's rows, loaded, exported, queried. Wiring only."""

from __future__ import annotations

import os
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

if TYPE_CHECKING:
    from lakeflow_job_meta.ingest.export import ExportReport
    from lakeflow_job_meta.ingest.report import LoadReport
    from lakeflow_job_meta.store.base import Store


class MetadataManager:
    """The metadata of one control table.

    Args:
        control_table: `catalog.schema.table`.
        store: where the tables live; by default what the settings name (the embedded store in `./.lakeflow`).

    Example:
        manager = MetadataManager("main.etl.control")
        print(manager.load_yaml("metadata/modules"))
        manager.sql("UPDATE main.etl.control SET execution_order = 2 WHERE source_id = 'orders'")
    """

    def __init__(self, control_table: str, store: Store | None = None, *, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings({"control_table": control_table}, os.environ)
        self.store = store or open_store(self.settings)
        self.tables = ControlTables.of(TableName.parse(control_table))

    def ensure_exists(self) -> list[str]:
        """Make those of our tables that don't exist; returns their names."""
        return [str(name) for name in self.tables.ensure(self.store)]

    def load_yaml(
        self, path: str | Path, on_conflict: str = "overwrite", deactivate_missing: bool = False
    ) -> LoadReport:
        """Load a YAML file, or all in a folder, into the table: all or nothing, touching only rows that differ.

        Args:
            path: a file or folder.
            on_conflict: what to do with rows that were edited in the table since a file wrote them: `overwrite`,
                `keep`, or `fail`.
            deactivate_missing: set is_active = false for sources that this folder declared before and no longer does.

        Raises:
            InputError: with every finding of every file; nothing was written.
            ConflictError: rows were edited, and on_conflict is `fail`; nothing was written.
        """
        from lakeflow_job_meta.ingest.load import load

        self.ensure_exists()
        return load(
            self.store,
            self.tables,
            Path(path),
            on_conflict=on_conflict,
            deactivate_missing=deactivate_missing,
            now=datetime.now(UTC),
        )

    def sync_from_volume(self, volume_path: str | Path) -> LoadReport:
        """Load all YAML files of a Unity Catalog volume; on the embedded store `/Volumes/c/s/v` is
        `<home>/volumes/c/s/v`."""
        from lakeflow_job_meta.ingest.volume import volume_folder

        return self.load_yaml(volume_folder(str(volume_path), self.settings.home))

    def export_yaml(self, path: str | Path) -> ExportReport:
        """Write the table as YAML that load_yaml reads back without any change."""
        from lakeflow_job_meta.ingest.export import export_yaml

        return export_yaml(self.store, self.tables, path)

    def detect_changes(self, last_check_timestamp: datetime | str | None = None) -> dict[str, list[Any]]:
        """What changed after a moment (None: ever), by timestamps.

        Returns:
            new_modules, updated_modules, deactivated_modules (names) and changed_sources (source_id, module_name,
            action: new, updated, deactivated or reactivated).
        """
        check = parse_check(last_check_timestamp)
        declared = with_timestamps(self.store, self.tables, read_declared(self.store, self.tables))
        return detect(declared, read_feed(self.store, self.tables, check), check)

    def get_all_modules(self) -> list[str]:
        """The names of active modules: those with an active source that aren't switched off as a whole."""
        declared = read_declared(self.store, self.tables)
        inactive = {module.module_name for module in declared.modules if not module.active}
        return sorted({source.module_name for source in declared.sources if source.active} - inactive)

    def get_module_sources(self, module: str) -> list[dict[str, Any]]:
        """The active rows of one module, by execution_order and source_id."""
        snapshot = self.store.read(self.tables.control.name, where={"module_name": [module]})
        rows = [dict(row) for row in snapshot.rows if Source.from_row(row).active]
        return sorted(rows, key=lambda row: (row["execution_order"] or 0, row["source_id"]))

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Run Databricks SQL; the rows of the last statement.

        Raises:
            SqlError: a statement that is wrong or not supported.
        """
        self.ensure_exists()
        return self.store.sql(text)

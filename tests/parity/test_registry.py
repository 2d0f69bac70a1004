"""The pipeline registry on each engine: the same tables, the same control rows, in few statements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lakeflow_job_meta import PipelineRegistry
from lakeflow_job_meta.pipelines.tables import KINDS, TABLES
from tests.parity.ground import Ground, at_most

REGISTRY = """\
registry_version: "1.0"
sources:
  - {source_name: crm, source_type: postgres, source_creds: {host: db, password: "{{secrets/crm/password}}"}}
tables:
  - {source_tablename: crm.public.orders, source_to_dl_load_type: full, source_to_dl_schedule: 60}
  - {source_tablename: crm.public.customers, source_to_dl_load_type: full}
"""
ORDERS, CUSTOMERS = "crm.public.orders.source_to_dl", "crm.public.customers.source_to_dl"


def test_tables_are_registered_synced_and_synced_again_for_nothing(ground: Ground, tmp_path: Path) -> None:
    schema = f"registry_{ground.engine.schema.rpartition('.')[2]}"
    settings = replace(ground.settings, pipelines_schema=schema)
    registry = PipelineRegistry(ground.table, ground.engine.store, settings=settings, workspace_client=ground.client)
    path = tmp_path / "registry.yml"
    path.write_text(REGISTRY)
    assert registry.load_yaml(path).added[TABLES] == ["crm.public.orders", "crm.public.customers"]
    assert len(registry.tables.infos(registry.store, KINDS)) == len(KINDS)
    assert not registry.load_yaml(path).wrote
    assert registry.check() == []
    with at_most(ground.engine.store, 40):
        assert registry.sync().added == (CUSTOMERS, ORDERS)
    with at_most(ground.engine.store, 25):
        assert not registry.sync().wrote
    config = registry.tables.names[TABLES]
    ground.engine.store.sql(
        f"UPDATE {config} SET source_to_dl_is_active = false WHERE source_tablename = 'crm.public.orders'"
    )
    report = registry.sync()
    assert (report.paused, report.unchanged) == ((ORDERS,), 1)
    ground.engine.store.sql(f"DELETE FROM {config} WHERE source_tablename = 'crm.public.orders'")
    assert registry.sync().deleted == (ORDERS,)
    rows = ground.sql("SELECT module_name, source_id, execution_order FROM {t} ORDER BY execution_order")
    assert [row["source_id"] for row in rows] == ["default_1_driver_check", "default_2_extract", "default_4_verify"]

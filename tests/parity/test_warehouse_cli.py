"""The command line of a laptop on a warehouse and a workspace, as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.local_server import Site
from tests.parity.engines import fresh_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.parity.warehouse_server import WarehouseServer

MODULE = """\
metadata_version: "1.0"
modules:
  - module_name: sales
    sources:
      - source_id: orders
        transformation_config: {task_type: notebook, notebook_path: /Shared/it's}
"""


@dataclass(frozen=True)
class Laptop:
    """A project folder, and the variables that point away from it."""

    folder: Path
    environment: dict[str, str]
    table: str

    def ljm(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lakeflow_job_meta", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert done.returncode == code, printed
        assert self.environment["DATABRICKS_TOKEN"] not in printed
        assert "Traceback" not in printed and "databricks.sql" not in printed
        return printed


@pytest.fixture
def laptop(warehouse: WarehouseServer, site: Site, spark: SparkSession, tmp_path: Path) -> Laptop:
    table = f"{fresh_schema(spark)}.control"
    (tmp_path / "lakeflow.yml").write_text(f"control_table: {table}\n")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sales.yml").write_text(MODULE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEFLOW_", "DATABRICKS_"))}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "LAKEFLOW_STORE": f"warehouse:{warehouse.url}",
        "LAKEFLOW_WORKSPACE": site.server.url,
        "LAKEFLOW_WAREHOUSE_CA_FILE": str(warehouse.ca_file),
        "DATABRICKS_TOKEN": warehouse.logins.token,
    }
    return Laptop(tmp_path, environment, table)


def test_two_variables_point_the_command_line_at_a_warehouse_and_a_workspace(
    laptop: Laptop, warehouse: WarehouseServer, site: Site, spark: SparkSession
) -> None:
    laptop.ljm("load", "modules")
    printed = laptop.ljm("apply", "--yes")
    assert f"store: {warehouse.connection().label}" in printed and "sales: create done" in printed
    laptop.ljm("sql", f"UPDATE {laptop.table} SET is_active = false, updated_timestamp = current_timestamp()")
    assert "1 to pause" in laptop.ljm("plan", "--detailed-exitcode", code=2)
    assert "sales" in laptop.ljm("status")
    (job,) = site.client(warehouse.logins.token).jobs.list()
    assert job.settings is not None and job.settings.name == "Metadata_Driven_ETL_sales"
    (row,) = spark.sql(f"SELECT * FROM {laptop.table}").collect()
    assert (row["source_id"], row["is_active"]) == ("orders", False)


def test_who_may_not_use_the_warehouse_is_told_so_in_words(laptop: Laptop) -> None:
    laptop.environment["DATABRICKS_TOKEN"] = "dapi-of-nobody"
    printed = laptop.ljm("sql", "SELECT 1", code=4)
    assert "we may not use it (HTTP 403: Invalid access token.)" in printed

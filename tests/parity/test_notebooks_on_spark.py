"""Notebook and SQL tasks on real Spark: the embedded tables are its catalogs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakeflow_job_meta.local.tasks.order import Ending, TaskResult
from lakeflow_job_meta.store.delta import DeltaStore
from tests.local_runs import Runs, result, results, task_run
from tests.local_server import running_server
from tests.local_tasks import Place
from tests.parity.spark_session import JARS, missing

EXAMPLES = Path(__file__).parents[2] / "examples" / "notebooks"
SEPARATOR = "\n# COMMAND ----------\n"

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is all there")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A home folder, and Spark's own configuration that names Delta's jars."""
    jars = os.pathsep.join(str(each) for each in sorted(JARS.glob("delta-*.jar")))
    (tmp_path / "spark-defaults.conf").write_text(f"spark.driver.extraClassPath {jars}\nspark.driver.memory 1g\n")
    (tmp_path / "home" / "local").mkdir(parents=True)
    from lakeflow_job_meta.local.state import State

    State(tmp_path / "home" / "local" / "workspace.db").close()
    return Place(tmp_path / "home", tmp_path)


def run(place: Place, text: str, **base: str) -> TaskResult:
    """A notebook of this text, on Spark."""
    path = place.folder / "notebook.py"
    path.write_text(text)
    what = {"notebook_path": f"file:{path}", "base_parameters": base}
    return place.run("notebook_task", what, environment={"SPARK_CONF_DIR": str(place.folder)})[0]


CELLS = (
    "assert type(spark).__module__.startswith('pyspark')",
    "# MAGIC %sql\n# MAGIC INSERT INTO gold.sales.t VALUES (2, 'b'); UPDATE gold.sales.t SET v = :v WHERE id = 1",
    "spark.sql('''MERGE INTO gold.sales.t t USING silver.sales.t s ON t.id = s.id\n"
    "WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.w)''')",
    "frame = spark.createDataFrame([(4, 'd')], 'id INT, v STRING')\n"
    "frame.write.mode('append').saveAsTable('gold.sales.t')\n"
    "frame.write.mode('overwrite').saveAsTable('`gold`.`sales`.`new`')\n"
    "frame.limit(0).write.mode('overwrite').saveAsTable('gold.sales.new')",
    "# MAGIC %sql\n# MAGIC CREATE OR REPLACE TABLE main.made.here AS SELECT id FROM gold.sales.t VERSION AS OF 1",
    "# MAGIC %sql\n# MAGIC ALTER TABLE gold.sales.t ADD COLUMN more INT",
    "print(spark.catalog.tableExists('gold.sales.new'), spark.catalog.tableExists('gold.sales.none'))",
    "# MAGIC %sql\n# MAGIC CREATE TABLE gold.sales.gone (id INT); DROP TABLE gold.sales.gone;\n"
    "# MAGIC DROP TABLE IF EXISTS gold.sales.none",
    "display(spark.table('gold.sales.t').orderBy('id'))",
    "spark.table('gold.sales.missing')",
)


def test_spark_reads_and_writes_the_embedded_tables_by_their_names(place: Place) -> None:
    store = DeltaStore(place.home)
    store.sql("""
        CREATE TABLE gold.sales.t (id INT, v STRING); INSERT INTO gold.sales.t VALUES (1, 'a');
        CREATE TABLE silver.sales.t (id INT, w STRING); INSERT INTO silver.sales.t VALUES (2, 'x'), (3, 'y')
    """)
    result = run(place, SEPARATOR.join(CELLS), v="changed")
    assert result.ending is Ending.FAILED and "gold`.`sales`.`missing" in result.error, result.output["logs"]
    assert "cell 10" in result.error_trace and "True False" in result.output["logs"]
    assert "|3 |" in result.output["logs"].replace(" 3|", "3 |")
    rows = store.sql("SELECT id, v, more FROM gold.sales.t ORDER BY id")
    assert [(row["id"], row["v"], row["more"]) for row in rows] == [
        (1, "changed", None), (2, "merged", None), (3, "y", None), (4, "d", None),
    ]  # fmt: skip
    assert store.sql("SELECT count(*) AS n FROM gold.sales.new") == [{"n": 0}]
    assert store.sql("SELECT id FROM main.made.here") == [{"id": 1}]
    assert not (place.home / "tables" / "gold" / "sales" / "gone").exists()


def test_the_segments_of_the_examples_are_made(place: Place) -> None:
    pytest.importorskip("numpy", reason="pyspark's machine learning needs it")
    store = DeltaStore(place.home)
    store.sql("""
        CREATE TABLE main.etl.control (source_id STRING, module_name STRING, source_config STRING,
            target_config STRING);
        INSERT INTO main.etl.control VALUES ('segments', 'marketing', '{"table": "silver.crm.customers"}',
            '{"catalog": "gold", "schema": "crm", "table": "segments"}');
        CREATE TABLE silver.crm.customers (customer_id INT, orders_last_year INT, revenue_last_year DOUBLE,
            days_since_last_order INT);
        INSERT INTO silver.crm.customers VALUES (1, 1, 10.0, 300), (2, 2, 12.0, NULL), (3, 90, 9000.0, 1),
            (4, 80, 8000.0, 2);
        CREATE SCHEMA gold.crm
    """)
    names = {"source_id": "segments", "module_name": "marketing", "control_table": "main.etl.control"}
    result = run(place, (EXAMPLES / "segment_customers.py").read_text(), clusters="2", **names)
    assert result.ending is Ending.SUCCESS, result.output["logs"]
    assert result.values == {"audience": 4}
    segments = {row["customer_id"]: row["segment"] for row in store.sql("SELECT * FROM gold.crm.segments")}
    assert segments[1] == segments[2] != segments[3] == segments[4]


def test_sql_tasks_run_on_one_spark_where_the_server_is_told_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(place.folder))
    with running_server(place.home, "--sql-engine", "spark") as site:
        runs, store = Runs(site), DeltaStore(place.home)
        make = "CREATE TABLE main.shop.t (id INT); INSERT INTO main.shop.t SELECT CAST(:n AS INT)"
        own = "SELECT id, java_method('java.lang.Math', 'abs', -7) AS n FROM main.shop.t"
        job_id = runs.create(
            runs.sql("make", f"{make}; {own}", parameters={"n": "7"}),
            runs.sql("wrong", "SELECT nope FROM main.shop.t", "make"),
        )
        run = runs.ended(runs.start(job_id), seconds=600)
        assert results(run) == {"make": "SUCCESS", "wrong": "FAILED"}, runs.output(task_run(run, "make")["run_id"])
        assert runs.output(task_run(run, "make")["run_id"])["local"]["rows"] == [{"id": 7, "n": "7"}]
        assert "nope" in runs.output(task_run(run, "wrong")["run_id"])["error"]
        # A catalog that came to be after Spark was started, made by the other engine.
        store.sql("CREATE TABLE silver.later.t AS SELECT 1 AS id")
        later = runs.create(runs.sql("a", "DELETE FROM silver.later.t"))
        (done,) = runs.ended(runs.start(later), seconds=600)["tasks"]
        assert (result(done), done["local"]) == ("SUCCESS", {"rows_written": 1})
    assert store.sql("SELECT * FROM main.shop.t") == [{"id": 7}]
    assert store.sql("SELECT * FROM silver.later.t") == []

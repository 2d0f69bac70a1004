"""The one Spark session of a test run, with Delta and names of three parts."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JARS = Path(__file__).parents[2] / ".cache" / "jars"
CATALOG = "main"

QUICK = {
    # Tables of a few rows: to compile a query, and to split it, takes longer than to run it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.stats.collect": "false",
    # Delta proves its checksums by reading the table's state again, after each commit where the zone isn't UTC.
    "spark.databricks.delta.allFilesInCrc.verificationMode.enabled": "false",
    "spark.databricks.delta.allFilesInCrc.verificationMode.forceOnNonUTC.enabled": "false",
    "spark.databricks.delta.incremental.commit.verify": "false",
    "spark.hadoop.fs.file.impl": "QuietFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "QuietFileSystem$Context",
    # The classes of Spark and Delta are as they were when they were built: 25,000 of them aren't verified.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC "
    "-XX:NewSize=400m -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote",
    "spark.sql.ui.explainMode": "simple",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.ui.retainedExecutions": "1",
    "spark.ui.retainedJobs": "1",
    "spark.ui.retainedStages": "1",
}


def missing() -> str:
    """What has to be installed first; empty where nothing is missing."""
    if find_spec("pyspark") is None:
        return "pyspark isn't installed: make jars"
    if not any(JARS.glob("delta-spark_*.jar")) or not any(JARS.glob("parity.jar")):
        return "the jars aren't there: make jars"
    if shutil.which("java") is None:
        return "Java isn't installed: apt-get install openjdk-17-jre-headless"
    return ""


@contextmanager
def running_session(folder: Path) -> Generator[SparkSession]:
    """A session whose tables lie in this folder.

    Args:
        folder: Where tables and Spark's own files go.
    """
    from pyspark.sql import SparkSession

    os.environ.pop("SPARK_HOME", None)  # pyspark brings its own
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        # Not spark.jars: Spark's Thrift server closes the class loader of those when one of its sessions ends.
        "spark.driver.extraClassPath": os.pathsep.join(str(each) for each in sorted(JARS.glob("*.jar"))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        f"spark.sql.catalog.{CATALOG}": "AliasCatalog",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
        "spark.driver.memory": "1g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        # Not UTC, which would hide what depends on the session's time zone.
        "spark.sql.session.timeZone": "Australia/Lord_Howe",
        **QUICK,
    }
    builder = SparkSession.builder.master("local[2]").appName("parity")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        yield session
    finally:
        session.stop()

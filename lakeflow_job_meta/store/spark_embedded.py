"""A Spark session of our own whose catalogs are the folders of the embedded store: for notebooks that run locally.

It is made where Spark is set up with Delta, which its own configuration says; nothing is downloaded.
"""

from __future__ import annotations

import logging
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CATALOG = Path(__file__).with_name("EmbeddedCatalog.java")
DEFAULTS = "spark-defaults.conf"
JARS = ("spark.jars", "spark.jars.packages", "spark.driver.extraClassPath")
ALWAYS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.sources.default": "delta",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Tables of a laptop: hundreds of tasks for a few rows take longer than the rows.
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
}


def what_is_missing() -> str:
    """What has to be set up before a session can be made; empty where nothing is missing."""
    if find_spec("pyspark") is None:
        return "pyspark isn't installed: pip install 'lakeflow-job-meta[spark]'"
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        return "Java isn't installed"
    settings = _defaults()
    if not any("delta" in settings.get(name, "") for name in JARS):
        return f"{DEFAULTS} names no jars of Delta"
    return ""


def embedded_session(home: Path, scratch: Path) -> SparkSession:
    """A session on the tables of a home folder.

    Args:
        home: The folder that holds `tables`; each folder in there is a catalog, and `main` is always one.
        scratch: A folder for what Spark writes for itself.

    Example:
        embedded_session(Path(".lakeflow"), Path("/tmp/x")).sql("SELECT * FROM main.etl.control").show()
    """
    from pyspark.sql import SparkSession

    os.environ.pop("SPARK_HOME", None)  # pyspark brings its own
    _keep_quiet()
    own = {"spark.sql.warehouse.dir": str(scratch / "warehouse"), "spark.local.dir": str(scratch / "local")}
    builder: Any = SparkSession.builder.master("local[*]").appName("lakeflow")
    for name, value in {**ALWAYS, **own, **_defaults()}.items():
        builder = builder.config(name, value)
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    _compile(session)
    name_catalogs(session, home)
    return session


def name_catalogs(session: SparkSession, home: Path) -> None:
    """Let a session know the catalogs that the tables of a home folder have by now."""
    folders = {each.name for each in (home / "tables").iterdir()} if (home / "tables").is_dir() else set[str]()
    for catalog in sorted(folders | {"main"}):
        session.conf.set(f"spark.sql.catalog.{catalog}.root", str(home / "tables" / catalog))
        session.conf.set(f"spark.sql.catalog.{catalog}", CATALOG.stem)


def _compile(session: SparkSession) -> None:
    """Add our catalog's class to the session, by the compiler that Spark has for its own queries."""
    java: Any = session._jvm  # pyright: ignore[reportPrivateUsage] (pyspark has no other way to Java)
    thread = java.java.lang.Thread.currentThread()
    compiler = java.org.codehaus.janino.SimpleCompiler()
    for version in (compiler.setSourceVersion, compiler.setTargetVersion):
        version(8)
    compiler.setParentClassLoader(thread.getContextClassLoader())
    compiler.cook(CATALOG.read_text())
    thread.setContextClassLoader(compiler.getClassLoader())


def _defaults() -> dict[str, str]:
    """What Spark's own configuration says."""
    known = [os.environ.get("SPARK_CONF_DIR"), _below(os.environ.get("SPARK_HOME")), _below(_installed())]
    for folder in filter(None, known):
        path = Path(folder) / DEFAULTS
        if path.is_file():
            lines = (line.replace("=", " ", 1).split(None, 1) for line in path.read_text().splitlines())
            return {words[0]: words[1].strip() for words in lines if len(words) == 2 and not words[0].startswith("#")}
    return {}


def _below(home: str | None) -> str | None:
    return f"{home}/conf" if home else None


def _installed() -> str | None:
    spec = find_spec("pyspark")
    return str(Path(spec.origin).parent) if spec is not None and spec.origin else None


def _keep_quiet() -> None:
    """pyspark writes each error on stderr as JSON too, with its stack trace; the notebook tells it once."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

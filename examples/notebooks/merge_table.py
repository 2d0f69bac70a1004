# Databricks notebook source
# MAGIC %md
# MAGIC # A bronze table into a silver table by key
# MAGIC The newest row of each key wins.

# COMMAND ----------

import json

for name in ("source_id", "module_name", "control_table"):
    dbutils.widgets.text(name, "")

source_id, module_name, control_table = (
    dbutils.widgets.get(name) for name in ("source_id", "module_name", "control_table")
)
row = spark.sql(
    "SELECT * FROM IDENTIFIER(:control_table) WHERE module_name = :module_name AND source_id = :source_id",
    args={"control_table": control_table, "module_name": module_name, "source_id": source_id},
).first()
if row is None:
    raise ValueError(f"{control_table} has no source {source_id} in module {module_name}")

source = json.loads(row.source_config or "{}")
target = json.loads(row.target_config or "{}")
table = ".".join(f"`{target[part]}`" for part in ("catalog", "schema", "table"))

dbutils.widgets.text("keys", "")
keys = source.get("keys") or [key.strip() for key in dbutils.widgets.get("keys").split(",") if key.strip()]
if not keys:
    raise ValueError(f"{module_name}/{source_id} names no keys: set source_config.keys, or the parameter keys")

# COMMAND ----------

from delta.tables import DeltaTable
from pyspark.sql import Window, functions as F

newest = Window.partitionBy(*keys).orderBy(F.col("_loaded_at").desc())
fresh = spark.table(source["table"]).withColumn("_n", F.row_number().over(newest)).where("_n = 1").drop("_n")

if not spark.catalog.tableExists(table):
    fresh.limit(0).write.saveAsTable(table)
(
    DeltaTable.forName(spark, table)
    .alias("t")
    .merge(fresh.alias("s"), " AND ".join(f"t.{key} = s.{key}" for key in keys))
    .whenMatchedUpdateAll()
    .whenNotMatchedInsertAll()
    .execute()
)

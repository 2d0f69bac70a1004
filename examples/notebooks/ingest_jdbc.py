# Databricks notebook source
# MAGIC %md
# MAGIC # A database query into a bronze table
# MAGIC Reads what changed since the last run, by the connection that the source's row names.

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

dbutils.widgets.text("watermark_column", "")
dbutils.widgets.text("batch_size", "10000")
column = dbutils.widgets.get("watermark_column")

# COMMAND ----------

since = "1970-01-01"
if column and spark.catalog.tableExists(table):
    since = spark.table(table).agg({column: "max"}).first()[0] or since

options = {"databricks.connection": source["connection"], "fetchsize": dbutils.widgets.get("batch_size")}
query = source.get("query", f"SELECT * FROM {source.get('extractor', source_id)}").replace(":watermark", f"'{since}'")
spark.read.format("jdbc").options(**options).option("query", query).load().write.mode("append").saveAsTable(table)

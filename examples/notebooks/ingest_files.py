# Databricks notebook source
# MAGIC %md
# MAGIC # Files into a bronze table
# MAGIC One notebook for every source that arrives as files: the source's row says which and where to.

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

# COMMAND ----------

reader = (
    spark.readStream.format("cloudFiles")
    .option("cloudFiles.format", source["format"])
    .option("cloudFiles.schemaLocation", f"{source['path']}/_schema")
    .options(**{name: str(value) for name, value in source.get("options", {}).items()})
)
query = (
    reader.load(source["path"])
    .selectExpr("*", "_metadata.file_path AS _file", "current_timestamp() AS _loaded_at")
    .writeStream.option("checkpointLocation", f"{source['path']}/_checkpoint/{source_id}")
    .trigger(availableNow=True)
    .toTable(table)
)
query.awaitTermination()

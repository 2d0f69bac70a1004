# Databricks notebook source
# MAGIC %md
# MAGIC # A topic into a bronze table, without end
# MAGIC Run by a continuous job: Databricks starts it again if it stops.

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

events = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", dbutils.secrets.get("kafka", "servers"))
    .option("subscribe", source["topic"])
    .option("startingOffsets", source.get("starting_offsets", "latest"))
    .load()
    .selectExpr("CAST(key AS STRING) AS key", "parse_json(CAST(value AS STRING)) AS body", "topic", "timestamp")
)
(
    events.writeStream.option("checkpointLocation", f"/Volumes/{target['catalog']}/{target['schema']}/checkpoints/{source_id}")
    .trigger(processingTime="10 seconds")
    .toTable(table)
    .awaitTermination()
)

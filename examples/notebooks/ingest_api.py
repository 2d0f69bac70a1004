# Databricks notebook source
# MAGIC %md
# MAGIC # Pages of a web API into a bronze table
# MAGIC Follows the pages until one is empty; each answer becomes a row.

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

import requests

pages, number = [], 1
while True:
    answer = requests.get(
        source["url"], params={"page": number, "page_size": source.get("page_size", 100)}, timeout=60
    )
    answer.raise_for_status()
    items = answer.json().get("items", [])
    if not items:
        break
    pages += [(json.dumps(item),) for item in items]
    number += 1

# COMMAND ----------

frame = spark.createDataFrame(pages, "body STRING").selectExpr("parse_json(body) AS body", "current_timestamp() AS _loaded_at")
frame.write.mode("append").saveAsTable(table)

# Databricks notebook source
# MAGIC %md
# MAGIC # The day's closing figures
# MAGIC Shows revenue and what the ledger doesn't agree with; fails if there is too much of it.

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

# COMMAND ----------

display(spark.sql("SELECT * FROM gold.finance.daily_revenue ORDER BY revenue_date DESC, store_id LIMIT 200"))

# COMMAND ----------

open_items = spark.sql("SELECT count(*) FROM silver.finance.reconciliation WHERE NOT agrees").first()[0]
print(f"{open_items} lines differ from the ledger")
if open_items > 100:
    raise RuntimeError(f"{open_items} lines differ from the ledger, expected at most 100")

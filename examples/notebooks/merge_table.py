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

listed = ", ".join(f"`{key}`" for key in keys)
same = " AND ".join(f"t.`{key}` = s.`{key}`" for key in keys)
spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{target['catalog']}`.`{target['schema']}`")
spark.sql(f"CREATE TABLE IF NOT EXISTS {table} AS SELECT * FROM {source['table']} WHERE false")
spark.sql(f"""
    MERGE INTO {table} AS t
    USING (
      SELECT * FROM {source['table']}
      QUALIFY row_number() OVER (PARTITION BY {listed} ORDER BY _loaded_at DESC) = 1
    ) AS s
    ON {same}
    WHEN MATCHED THEN UPDATE SET *
    WHEN NOT MATCHED THEN INSERT *
""")
rows = spark.sql(f"SELECT count(*) AS n FROM {table}").first().n
dbutils.notebook.exit(f"{rows} rows")

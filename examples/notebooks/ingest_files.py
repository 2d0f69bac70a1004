# Databricks notebook source
# MAGIC %md
# MAGIC # Files into a bronze table
# MAGIC One notebook for every source that arrives as files: the source's row says which, with which columns, and where
# MAGIC to. Each file is read once: its rows carry its name. Runs on Databricks and on the embedded workspace; for very
# MAGIC many files, read them with Auto Loader instead.

# COMMAND ----------

import json

for name in ("source_id", "module_name", "control_table", "full_refresh"):
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
columns = source["columns"]

# COMMAND ----------

declared = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{target['catalog']}`.`{target['schema']}`")
spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({declared}, _file STRING, _loaded_at TIMESTAMP)")
if dbutils.widgets.get("full_refresh") == "true":
    spark.sql(f"DELETE FROM {table}")
known = {each._file for each in spark.sql(f"SELECT DISTINCT _file FROM {table}").collect()}

# COMMAND ----------

import csv
import io


def records(text):
    if source["format"] == "json":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return list(csv.DictReader(io.StringIO(text), delimiter=source.get("options", {}).get("delimiter", ",")))


names = list(columns)
loaded = 0
for file in dbutils.fs.ls(source["path"]):
    if file.name.startswith(("_", ".")) or file.path in known:
        continue
    found = records(dbutils.fs.head(file.path, max(file.size, 1)))
    values, given = [], {"file": file.path}
    for number, record in enumerate(found):
        markers = []
        for name, kind in columns.items():
            given[f"{name}_{number}"] = record.get(name)
            markers.append(f"CAST(:{name}_{number} AS {kind})")
        values.append(f"({', '.join(markers)}, :file, current_timestamp())")
    if values:
        spark.sql(f"INSERT INTO {table} VALUES {', '.join(values)}", args=given)
    loaded += len(found)

# COMMAND ----------

dbutils.jobs.taskValues.set("rows", loaded)
dbutils.notebook.exit(f"{loaded} rows into {'.'.join(target[part] for part in ('catalog', 'schema', 'table'))}")

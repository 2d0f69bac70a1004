# Databricks notebook source
# MAGIC %md
# MAGIC # Customers into segments
# MAGIC Groups customers by what they buy, and tells the next task how many may be contacted.

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

dbutils.widgets.text("clusters", "5")

# COMMAND ----------

from pyspark.ml import Pipeline
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import StandardScaler, VectorAssembler

columns = ["orders_last_year", "revenue_last_year", "days_since_last_order"]
customers = spark.table(source["table"]).na.fill(0, columns)
pipeline = Pipeline(
    stages=[
        VectorAssembler(inputCols=columns, outputCol="raw"),
        StandardScaler(inputCol="raw", outputCol="features"),
        KMeans(k=int(dbutils.widgets.get("clusters")), seed=7, predictionCol="segment"),
    ]
)
segments = pipeline.fit(customers).transform(customers).select("customer_id", "segment")
segments.write.mode("overwrite").saveAsTable(table)

# COMMAND ----------

dbutils.jobs.taskValues.set("audience", segments.count())

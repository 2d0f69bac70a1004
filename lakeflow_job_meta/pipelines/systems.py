"""The types of databases that the registry knows, and how tables of each are named. Data only."""

from __future__ import annotations

DRIVEN = ("postgres", "mysql", "mariadb", "sqlite", "duckdb", "delta", "parquet", "csv")
"""Types that a driver is there for."""

UNDRIVEN = ("mongo", "salesforce", "bigquery", "snowflake")
"""Types that people name, and no driver is there for: driver_check says so."""

KNOWN = (*DRIVEN, *UNDRIVEN)

WITHOUT_SCHEMAS = ("sqlite", "parquet", "csv", "salesforce")
"""A table of these is `source_name.table`."""

WITH_DEFAULT_SCHEMA = ("mysql", "mariadb", "duckdb", "delta", "mongo")
"""A table of these may leave its schema out: the credentials name the database."""

"""The SQL front door of the embedded store: Databricks SQL in, Delta commits out.

sqlglot parses, DuckDB evaluates every expression over Arrow, delta-rs reads and commits. Belongs here: what a
statement means, one kind of statement a file. Doesn't: how tables are opened and raced for (`store.delta_tables`).
A statement that isn't supported is refused by name.
"""

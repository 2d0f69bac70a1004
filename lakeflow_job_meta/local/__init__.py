"""The embedded workspace: an HTTP server that answers the Databricks REST API from a SQLite file.

Belongs here: one file a service (jobs, queries, workspace files, …), the state they share, fault injection, and the
process around them. Always a process of its own, reached over HTTP like any other workspace.
Doesn't: anything about metadata, tables of control, plans or the engine; no import of this package but by the CLI.
"""

"""How to reach a workspace: which one, by which client, how fast; and the engine's ports over its REST API.

Belongs here: everything that knows of HTTP, the databricks-sdk (imported only here, and only when a call is made),
throttling and retries, starting the local workspace's process. Doesn't: decisions about jobs.
"""

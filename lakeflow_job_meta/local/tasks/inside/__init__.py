"""What runs within a task's own process.

Belongs here: reading the order, the limits that a process sets on itself, running the user's code, what that code sees
(`dbutils`, `spark`, `display`), and telling what became of it. It reads the workspace's files from the home folder and
never speaks to the server.
Doesn't: starting and ending the process (that is the package above), anything that outlives it.
"""

"""What carries out one task of a run: one file a kind of task.

Belongs here: turning a task, all its references resolved, into processes of its own, and what became of them. A task
gets its own folder and environment, and ends with its children.
Doesn't: which task runs when (that is `local/runs/`), the REST API, anything of the server's own state.
"""

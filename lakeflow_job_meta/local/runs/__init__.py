"""The runner: what makes a job of the embedded workspace run, behind the Jobs API's calls about runs.

Belongs here: what a run is and how it goes on (`dag`, `references`, `condition`, `loop`, `retry`: pure), runs and task
runs as rows (`record`, `rows`), the runner that moves them from state to state (`runner`, `attempts`, `dispatch`), what
is told of them (`views`), the API's calls (`calls`, `repair_call`), and what starts runs by itself (`triggers`,
`firing`).
Doesn't: how a task is carried out (that is `local/tasks/`).

All of it lives in the server's one thread: each step runs to its end before the next begins, as each request does. Only
waiting for a task's end has a thread of its own, which posts what became of it back into the loop.
"""

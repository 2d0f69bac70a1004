"""The record of runs: one row a run in pipeline_runs_master, one a stage in pipeline_run_stage_logs.

Belongs here: what a stage's process writes of itself while it works, and what is written for it where it can't any more
(killed, cancelled, never started), out of the workspace's runs. Doesn't: which runs there are (the ledger's collector,
above, hands them on), what a stage does. `words`, `rows` and `settled` are pure.
"""

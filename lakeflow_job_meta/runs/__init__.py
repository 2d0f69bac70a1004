"""Runs of our jobs: started, followed, and kept in the ledger.

Belongs here: the collector that writes `{control_table}_runs` and `{control_table}_task_runs`, what a run may take
(`sla`), statistics over runs, which parameters a job takes. Doesn't: HTTP (`workspace`), how web hooks are sent
(`notify`), how anything is shown (`cli`). `rows`, `history`, `sla`, `statistics` and `asked` are pure.
"""

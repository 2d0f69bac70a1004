"""The pipeline registry: which tables are moved, from where, to where, how; and the stages that move them.

Belongs here: the six tables of the registry, what is wrong with their rows, the control rows that follow from them,
drivers of databases, the stages that run inside of a job's task, a row for each run and each stage. Doesn't: making
jobs of control rows (`planning`, `engine`), how a Delta table is written (`store`), secrets themselves. Nothing below
knows that the registry exists: its rows reach the engine as SQL edits and YAML do, through the control table.
"""

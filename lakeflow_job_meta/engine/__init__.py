"""Desired, recorded and observed to a plan, and a plan to calls: the reconciler.

Belongs here: the three-way diff, the rules of fields, planning, applying, and the ports through which it sees a
workspace and the state. Doesn't: HTTP, tables, SQL, clocks other than those passed in. `diff`, `rules` and `planner`
are pure; `apply` works through its ports only.
"""

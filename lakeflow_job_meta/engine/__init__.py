"""Desired, recorded and observed to a plan, and a plan to calls: the reconciler.

Belongs here: the three-way diff, the rules of fields, planning, applying, and the ports through which it sees a
workspace and the state. Doesn't: HTTP, tables, SQL, clocks other than those passed in. `diff`, `rules`, `drift`,
`lease`, `targets` and `planner` are pure; `observe`, `apply`, `carry_out` and `fence` work through the ports only.
"""

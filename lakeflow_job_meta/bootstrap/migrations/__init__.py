"""Changes to the tables of a dataset that exist already: numbered files, each applied once, in order, recorded.

Belongs here: what a migration file says (`files`, `sections`), the record of what was applied (`record`, `entry`), what
there is to do (`planner`, pure), and doing it so that a table is never left half changed (`carry_out`). Doesn't: what
the tables of a new dataset look like (the schema files of `bootstrap`), nor the product's own tables
(`control.migrations`).
"""

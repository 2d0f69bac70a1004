"""The stages of a pipeline: code that runs inside of a job's task and moves one table one way.

Belongs here: one file a stage type, each a function of a `StageContext`. Doesn't: how a database is spoken to
(`pipelines.drivers`), the registry's rows, the record of runs (`pipelines.runs`), the task's parameters (`entry`).
"""

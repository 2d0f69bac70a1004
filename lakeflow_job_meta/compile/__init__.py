"""Rows to job settings, pure: no I/O, clock, environment or randomness.

Belongs here: reading the JSON columns, the order of tasks, the builders of task kinds, job settings, and every
finding about them. Doesn't: what the workspace holds, what was applied before (`engine`).
"""

from lakeflow_job_meta.compile.jobs import COMPILER_VERSION, Compiled, CompileOptions, compile_modules

__all__ = ["COMPILER_VERSION", "CompileOptions", "Compiled", "compile_modules"]

"""Frozen data that every other package speaks in: tables, sources and modules, jobs, plans.

Belongs here: dataclasses, the names and field types of the Jobs API, conversions between a row and its object.
Doesn't: I/O, clocks, environment, anything that decides.
"""

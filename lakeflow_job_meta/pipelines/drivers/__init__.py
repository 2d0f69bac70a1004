"""Drivers: one file a kind of database, each of which speaks to it by a library of others, and hands over Arrow.

Belongs here: how a database is reached, what it tells of a table, how rows get out of it and into it. Doesn't: what is
moved and when (`pipelines.stages`), which type becomes which (`pipelines.types`). A library is imported when its
database is connected to: who moves none needs none.
"""

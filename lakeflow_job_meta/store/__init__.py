"""Drivers of the places where tables live, one file an engine, all behind the protocol in `base`.

Belongs here: reading, writing, history, SQL. Doesn't: which tables the product has or what their rows mean
(that is `control`), and no decision about jobs.
"""

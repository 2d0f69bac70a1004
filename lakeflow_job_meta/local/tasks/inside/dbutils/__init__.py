"""`dbutils`, as notebooks know it: the same names and arguments, on the home folder instead of the cloud.

Belongs here: one file a utility, with Databricks' own signatures (camelCase is theirs).
Doesn't: how cells are run.
"""

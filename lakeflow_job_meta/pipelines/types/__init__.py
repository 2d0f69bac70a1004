"""Types: what each type of a database becomes in the data lake, and whether a column can go into another. Pure."""

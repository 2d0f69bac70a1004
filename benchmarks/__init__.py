"""What the product costs: API requests, table commits, CPU seconds and peak memory, each case a process of its own.

Belongs here: what is run (`cases`, `ticks`, `peers`), measuring it (`measure`), what is to be reached (`goals`), how
figures are kept and shown (`results`, `report`, `plot`). The embedded workspace is a process of its own, so its work
isn't counted.
"""

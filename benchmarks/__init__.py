"""What the product costs: API requests, table commits, CPU seconds and peak memory, each case in a process of its own.

`python -m benchmarks` prints the table; `--modules N` changes the size. The embedded workspace is a process of its own,
so its work isn't counted. Wall time depends on the machine, the counts don't.
"""

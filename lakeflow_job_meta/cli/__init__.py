"""The command line: one file a command, and how results are shown.

Belongs here: arguments, asking, progress, printing, exit codes. Doesn't: anything that a Python caller of the façades
would miss. stdout is data, stderr is talk; heavy imports happen inside of a command, so that `--help` is quick.
"""

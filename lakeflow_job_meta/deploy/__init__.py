"""Putting the monitor where it runs for ever: a job of its own in the workspace, made by this product itself.

Belongs here: the wheel, where it is kept, the monitor's own rows, the program that the job runs. Doesn't: how a job is
planned and applied; the monitor's job is one like all others.
"""

"""Faults on purpose: processes killed anywhere, endpoints that fail, appliers that compete, state that is damaged.

Here belong campaigns too long to run in full each time: under pytest each runs a part that is bounded in time, and
`python -m tests.chaos --all` runs all of it. What is proved by one scenario of one feature belongs in acceptance.
"""

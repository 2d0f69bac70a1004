"""How large a YAML file may be, and why."""

MAX_BYTES = 16 * 1024 * 1024
"""3,000 sources are under one megabyte; whoever needs more has data in the file that belongs in a table."""

MAX_DEPTH = 64
"""Collections within collections. Job settings nest ten deep; the parser's recursion breaks at ten thousand."""

MAX_ALIASES = 50_000
"""Uses of anchors in one file: several for each of some thousand sources."""

MAX_WEIGHT = 1_000_000
"""Nodes after all aliases are written out, plus one for each hundred characters of text; 3,000 sources weigh 100,000.
Nine lines of aliases of aliases weigh a billion."""

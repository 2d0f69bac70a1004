"""YAML files into plain values, with the place of each key and value.

Belongs here: decoding, limits, syntax, duplicate keys, aliases, which plain words are numbers or truth values. Doesn't:
what any file means (`ingest`, `bootstrap`, `pipelines`, `stages`), settings, tables. Nothing here writes.

What YAML means here: the core schema of YAML 1.2. Unquoted `true` and `false` (also `True`, `TRUE`, …), `null`, `~`,
whole and decimal numbers have types; everything else is text. So `on`, `yes`, `no`, `12:30:00` and `2024-01-01` are
text, which YAML 1.1 would have turned into truth values, seconds and dates. One deviation: a number with a leading
zero (`00421`) is text too, since it is an identifier more often than a number and the zeros would be lost.
Merge keys (`<<: *defaults`) work although YAML 1.2 dropped them, since people use them.
"""

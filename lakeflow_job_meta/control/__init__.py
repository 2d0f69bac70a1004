"""The product's own tables as objects: sources, modules, state, files, log.

Belongs here: which tables there are (`schemas/*.json`, the only DDL of the product), how their rows become objects and
back, the owner UUID. Doesn't: how any engine stores them (`store`), what jobs follow from them (`compile`, `engine`).
"""

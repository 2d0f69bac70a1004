"""Telling others what happened, by web hooks.

Belongs here: how a message looks for each kind of hook, its signature, sending it, where the secret comes from.
Doesn't: what is worth telling (`runs`, `stages`). A hook that fails is told of in the log; it never stops who tells it.
Its address may be a secret and isn't shown.
"""

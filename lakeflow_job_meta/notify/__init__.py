"""Web hooks: somebody else's server is told what happened, in JSON that it can check the origin of.

Belongs here: the message, its signature, sending it, where the secret comes from. Doesn't: what is worth telling
(`runs`). A hook that fails is tried again a few times and told of in the log; it never stops who tells it.
"""

"""The `ring` command: the ring in a terminal.

It speaks to the server by gRPC alone and imports nothing of the project but the protocol's
generated modules and its own settings.
"""

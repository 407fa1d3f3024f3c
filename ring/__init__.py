"""The write side of the digital ring: what may happen, and the log of what did.

Domain modules (values, events, reads, checkpoint, reader, hotlist, alert) are pure: no
gRPC, no SQL, no clock. `store` keeps events, `ingest` and `matching` move them, `rpc`
speaks to the world, `cli` is the `ring` command.
"""

__version__ = "0.1.0"

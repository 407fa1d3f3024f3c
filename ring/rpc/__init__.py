"""The services on the public address: between protobuf and the domain, one file a service.

Always true here: handlers hold no state of the ring; everything that blocks runs in a thread.
"""

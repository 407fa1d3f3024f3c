"""The server's clock, as protobuf has it."""

from google.protobuf.timestamp_pb2 import Timestamp


def now() -> Timestamp:
    """The present, UTC."""
    result = Timestamp()
    result.GetCurrentTime()
    return result

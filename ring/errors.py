"""Everything that can go wrong in a way that a caller is told of.

RingError
├── InvalidRequest      it can never succeed as it is
├── NotFound            the thing named does not exist
├── AlreadyExists
├── NotAllowed          revoked
├── StateForbids        the state of the ring forbids it now
├── TakenOver           a newer stream of the same reader and epoch
├── BeyondLog           a position that the log has not reached
├── TooSlow             a subscriber that can't keep up
├── NotInTime           the read side did not reach a position in time
├── Unavailable         try again
└── NotBuilt            a later version will

Each message says what was wrong and what to do, shortened in the middle where it quotes more than
the trailers of a call have room for. `rpc.errors` maps them to gRPC status codes.
"""

# gRPC takes 16 KiB of a message, in which a character may be twelve bytes.
_LONGEST = 1000


class RingError(Exception):
    """Base of the tree."""

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= _LONGEST:
            return text
        half = _LONGEST // 2
        return f"{text[: half - 1]} … {text[2 - half :]}"


class InvalidRequest(RingError):  # noqa: N818 - the tree reads as a sentence
    """The request can never succeed as it is."""


class NotFound(RingError):  # noqa: N818
    """The thing named does not exist."""


class AlreadyExists(RingError):  # noqa: N818
    """The thing to be made exists."""


class NotAllowed(RingError):  # noqa: N818
    """The caller is known, and refused."""


class StateForbids(RingError):  # noqa: N818
    """The state of the ring forbids it now."""


class TakenOver(RingError):  # noqa: N818
    """A newer stream of the same reader and epoch took over."""


class BeyondLog(RingError):  # noqa: N818
    """A position that the log has not reached."""


class TooSlow(RingError):  # noqa: N818
    """A subscriber that can't keep up."""


class NotInTime(RingError):  # noqa: N818
    """The read side did not reach a position in time."""


class Unavailable(RingError):  # noqa: N818
    """A part of the server does not answer just now."""


class NotBuilt(RingError):  # noqa: N818
    """This version can't; a later one will."""

"""What can go wrong at a checkpoint, each said in one line that names the next step.

LprError
├── SourceError      a picture, video or camera that can't be opened
├── ModelError       a model that is missing, unknown or broken
├── SpoolError       the spool is locked, damaged, or another reader's
│   └── SpoolFullError    its disk, or the room it may take, is full
└── UplinkError      the server can't or won't take the reads
    ├── RefusedError      it said no: not registered, revoked, or a request it won't take
    ├── SupersededError   a newer stream of the same reader and epoch took over
    └── UndeliveredError  it could not be reached in the time allowed
"""


class LprError(Exception):
    """The base of every error a person can see."""


class SourceError(LprError):
    """A picture, video or camera that can't be opened."""


class ModelError(LprError):
    """A model that is missing, unknown or broken."""


class SpoolError(LprError):
    """The spool is locked, damaged, or another reader's."""


class SpoolFullError(SpoolError):
    """The spool's disk, or the room that it may take, is full; what it holds is safe."""


class UplinkError(LprError):
    """The server can't or won't take the reads; the spool still holds them."""


class RefusedError(UplinkError):
    """The server said no: not registered, revoked, or a request it won't take."""


class SupersededError(UplinkError):
    """A newer stream of the same reader and epoch took over."""


class UndeliveredError(UplinkError):
    """The server could not be reached in the time allowed."""

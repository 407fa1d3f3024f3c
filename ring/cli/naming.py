"""Checkpoints that a question names.

Always true here: what is not registered is told, never refused: an answer that is empty because
of a slip of the pen is not to be taken for "nobody was there".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ring.cli.output import note

if TYPE_CHECKING:
    import grpc


def note_unknown(channel: grpc.Channel, codes: Iterable[str] | None, timeout: float) -> None:
    """Says on stderr which of the checkpoints the ring does not have."""
    from proto.ring.v1.registry_pb2 import ListCheckpointsRequest
    from proto.ring.v1.registry_pb2_grpc import RegistryServiceStub

    asked = dict.fromkeys(codes or ())
    if not asked:
        return
    answer = RegistryServiceStub(channel).ListCheckpoints(ListCheckpointsRequest(), timeout=timeout)
    known = {checkpoint.code for checkpoint in answer.checkpoints}
    for code in asked:
        if code not in known:
            note(f"no checkpoint is called {code!r}: see 'ring checkpoints list'")

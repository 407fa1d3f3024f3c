"""`ring reconcile` held against what was acknowledged: it says what is missing, and is right.

Always true here: the truth is what readers were told, never what the server says of itself.
"""

from collections.abc import Collection, Mapping
from contextlib import closing

from proto.ring.v1.operations_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    RebuildRequest,
    ReconcileProgress,
    ReconcileRequest,
)
from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub
from ring.store import open_log
from tests.conftest import Server
from tests.faults.conftest import stored_in, until

Truth = Mapping[tuple[str, str], Collection[int]]
"""The sequences that were acknowledged, by reader and epoch."""


def status(server: Server) -> GetStatusResponse:
    """How the server is."""
    with server.channel() as channel:
        stub = OperationsServiceStub(channel)
        answer: GetStatusResponse = stub.GetStatus(GetStatusRequest(), timeout=30)
    return answer


def accounts(server: Server) -> ReconcileProgress:
    """What `ring reconcile` is told, once the read side is there."""
    until(lambda: status(server).read_side == "ok", 60)
    with server.channel() as channel:
        *_, last = OperationsServiceStub(channel).Reconcile(ReconcileRequest(), timeout=60)
    return last


def rebuilt(server: Server) -> str:
    """The outcome of `ring rebuild --verify`."""
    with server.channel() as channel:
        request = RebuildRequest(verify_only=True)
        *_, last = OperationsServiceStub(channel).Rebuild(request, timeout=120)
    return last.outcome


def reconcile(server: Server, truth: Truth) -> None:
    """`ring reconcile` accounts for the truth: all of it, once, and nothing else.

    `truth`: everything that its readers were ever told was stored. Where it has gaps, reads are
    lost, and reconcile has to say so. Rows are compared with what a rebuild of the log gives.
    """
    said = accounts(server)
    readers = {reader for reader, _ in truth}
    found = {
        (a.reader_id, a.epoch): (a.stored, a.projected, a.rejected, a.conflicts, a.missing)
        for a in said.accounts
        if a.reader_id in readers
    }
    gaps = {key: max(sequences) - len(set(sequences)) for key, sequences in truth.items()}
    lengths = {key: len(set(sequences)) for key, sequences in truth.items()}
    assert found == {key: (lengths[key], lengths[key], 0, 0, gaps[key]) for key in truth}
    lacking = [a for a in said.accounts if a.missing or a.projected != a.stored]
    assert said.complete == (not lacking and not said.unknown_rows)
    assert not said.unknown_rows
    with closing(open_log(server.event_store)) as log:
        for (reader, epoch), sequences in truth.items():
            kept = [one.read.sequence for one in stored_in(log, reader, epoch)]
            assert kept == sorted(sequences), (reader, epoch)
    assert rebuilt(server) == "equal"

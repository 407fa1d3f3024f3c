"""What the tests of faults share: a ring with registered readers, and readers as processes."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proto.ring.v1 import registry_pb2, registry_pb2_grpc
from proto.ring.v1.events_pb2 import StoredRead
from ring.store import EventLog, open_log, unseal
from ring.values import read_log_id
from tests.conftest import ROOT, Server


def register(server: Server, *readers: str) -> None:
    """One checkpoint, and readers at it."""
    with server.channel() as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        registry.ImportCheckpoints(
            registry_pb2.ImportCheckpointsRequest(checkpoints=[registry_pb2.Checkpoint(code="C1")])
        )
        registry.ImportReaders(
            registry_pb2.ImportReadersRequest(
                readers=[
                    registry_pb2.Reader(reader_id=reader, checkpoint="C1", direction=1)
                    for reader in readers
                ]
            )
        )


def stored(server: Server, reader: str, *epochs: str) -> list[StoredRead]:
    """A reader's stored reads of some epochs, in the order of their sequences."""
    with contextlib.closing(open_log(server.event_store)) as log:
        return [one for epoch in epochs for one in stored_in(log, reader, epoch)]


def stored_in(log: EventLog, reader: str, epoch: str, after: int = 0) -> list[StoredRead]:
    """As `stored`, of one epoch in an open log, above a sequence."""
    events = list(log.select_events(read_log_id(reader, epoch), gt=after))
    assert {event.topic for event in events} <= {"ring.read"}
    return [StoredRead.FromString(unseal(event.state)) for event in events]


def plates(reads: list[StoredRead]) -> list[str]:
    return [one.read.plate for one in reads]


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


class FeedingReader:
    """tests/faults/feeding_reader.py as a process; what it says goes to files."""

    def __init__(
        self, folder: Path, server: str, reader: str, *options: str, before: tuple[str, ...] = ()
    ) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._said = folder.parent / f"{folder.name}-{time.monotonic_ns()}.out"
        self._complained = self._said.with_suffix(".err")
        module = [sys.executable, "-m", "tests.faults.feeding_reader"]
        with self._said.open("w") as said, self._complained.open("w") as complained:
            self.process = subprocess.Popen(
                [*before, *module, str(folder), server, reader, *options],
                cwd=ROOT,
                stdout=said,
                stderr=complained,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    @property
    def complained(self) -> str:
        return self._complained.read_text()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def ended_well(self, seconds: float = 60.0) -> bool:
        code = self.process.wait(seconds)
        assert code == 0, self.complained
        return True


ReaderFactory = Callable[..., FeedingReader]


@pytest.fixture
def start_reader() -> Iterator[ReaderFactory]:
    """Starts readers that are gone after the test."""
    started: list[FeedingReader] = []

    def start(*words: object, **more: tuple[str, ...]) -> FeedingReader:
        folder, *rest = words
        assert isinstance(folder, Path)
        reader = FeedingReader(folder, *map(str, rest), **more)
        started.append(reader)
        return reader

    yield start
    for reader in started:
        if reader.process.poll() is None:
            reader.kill()

"""What a reader vendor may rely on: every promise under "Sequences and epochs", over a socket."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from proto.ring.v1 import (
    operations_pb2,
    operations_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from proto.ring.v1.common_pb2 import DIRECTION_ENTRY, DIRECTION_EXIT
from proto.ring.v1.events_pb2 import TIME_QUALITY_SUSPECT, StoredRead
from proto.ring.v1.ingest_pb2 import (
    CharacterCandidates,
    PictureUpload,
    ReaderHello,
)
from ring.store import open_log, unseal
from ring.values import read_log_id
from tests.conftest import NewStore, Server, ServerFactory
from tests.vendor import NOW, Client, read

Folders = pytest.TempPathFactory
READERS = 120


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore, tmp_path_factory: Folders) -> Server:
    """The write side alone is enough here."""
    socket = tmp_path_factory.mktemp("socket") / "read.sock"
    env = {"RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    with server.channel() as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        registry.ImportCheckpoints(
            registry_pb2.ImportCheckpointsRequest(
                checkpoints=[registry_pb2.Checkpoint(code="GP-01", latitude=-34.5, longitude=-58.4)]
            )
        )
        answer = registry.ImportReaders(
            registry_pb2.ImportReadersRequest(
                readers=[
                    registry_pb2.Reader(
                        reader_id=f"r{n}", checkpoint="GP-01", lane="2", direction=DIRECTION_ENTRY
                    )
                    for n in range(READERS)
                ]
            )
        )
        assert answer.added == READERS
    return server


_ids = iter(range(40, READERS))


@pytest.fixture
def reader() -> str:
    """A reader that no other test uses."""
    return f"r{next(_ids)}"


def stored(server: Server, reader: str, epoch: str) -> dict[int, tuple[str, bytes]]:
    """sequence → (topic, body) of a read log."""
    log = open_log(server.event_store)
    try:
        events = log.select_events(read_log_id(reader, epoch))
        return {e.originator_version: (e.topic, unseal(e.state)) for e in events}
    finally:
        log.close()


def rejects(server: Server, reader: str) -> Iterator[operations_pb2.Reject]:
    with server.channel() as channel:
        stub = operations_pb2_grpc.OperationsServiceStub(channel)
        yield from stub.ListRejects(operations_pb2.ListRejectsRequest(reader_id=reader))


def test_a_new_epoch_starts_at_zero_and_resumes_where_it_stopped(
    server: Server, reader: str
) -> None:
    epoch = str(uuid4())
    client = Client(server, reader, epoch)
    assert client.resume == 0
    client.batch(*(read(n) for n in range(1, 6)))
    last = client.until(5)[-1]
    assert last.position.position >= 5
    assert last.server_time.seconds >= NOW
    assert client.close() is grpc.StatusCode.OK
    again = Client(server, reader, epoch.upper())
    assert again.resume == 5
    assert again.close() is grpc.StatusCode.OK
    assert sorted(stored(server, reader, epoch)) == [1, 2, 3, 4, 5]


def test_half_close_is_answered_with_what_was_sent(server: Server, reader: str) -> None:
    epoch = str(uuid4())
    client = Client(server, reader, epoch)
    for start in range(1, 2001, 100):
        client.batch(*(read(n) for n in range(start, start + 100)))
    assert client.close() is grpc.StatusCode.OK
    assert client.rest[-1].committed_sequence == 2000


def test_gaps_are_allowed_and_final(server: Server, reader: str) -> None:
    epoch = str(uuid4())
    client = Client(server, reader, epoch)
    client.batch(read(1), read(10))
    client.until(10)
    client.batch(read(5, "LATE1"))
    answer = client.next()
    assert answer.committed_sequence == 10
    assert [(r.sequence, "out of order" in r.reason) for r in answer.rejected] == [(5, True)]
    client.close()
    assert [r.read.plate for r in rejects(server, reader)] == ["LATE1"]


def test_a_resent_read_is_acknowledged_and_not_stored_again(server: Server, reader: str) -> None:
    epoch = str(uuid4())
    client = Client(server, reader, epoch)
    client.batch(read(1), read(2, "ab 123-cd"), read(3))
    client.until(3)
    before = stored(server, reader, epoch)
    client.batch(read(2, "AB123CD"), read(3))
    answer = client.next()
    assert (answer.committed_sequence, len(answer.rejected)) == (3, 0)
    assert answer.position.position > 0
    # resent and new in one message, the same one twice
    client.batch(read(1), read(2), read(4), read(4))
    assert client.until(4)[-1].committed_sequence == 4
    assert client.close() is grpc.StatusCode.OK
    after = stored(server, reader, epoch)
    assert {n: after[n] for n in (1, 2, 3)} == before
    assert sorted(after) == [1, 2, 3, 4]


def test_other_content_is_a_conflict_that_ends_the_stream(server: Server, reader: str) -> None:
    epoch = str(uuid4())
    client = Client(server, reader, epoch)
    client.batch(*(read(n) for n in range(1, 6)))
    client.until(5)
    client.batch(read(2), read(3, "OTHER1"), read(6))
    code, details = client.failure()
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "new epoch needed" in details
    # what came before the conflict is acknowledged, so that it is not sent again elsewhere
    assert client.rest[-1].committed_sequence == 2
    assert sorted(stored(server, reader, epoch)) == [1, 2, 3, 4, 5]
    for _ in range(2):
        client = Client(server, reader, epoch)
        client.batch(read(3, "OTHER1"))
        assert client.failure()[0] is grpc.StatusCode.FAILED_PRECONDITION
    recorded = [r for r in rejects(server, reader) if r.conflict]
    assert [(r.read.sequence, r.read.plate) for r in recorded] == [(3, "OTHER1")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"plate": ""}, "no plate"),
        ({"plate": "A"}, "plate"),
        ({"plate": "ÄB123"}, "plate"),
        ({"plate": "ABCDEFGHIJKLM"}, "plate"),
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": -0.1}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
    ],
)
def test_a_bad_read_is_recorded_whole_and_blocks_nothing(
    server: Server, fields: dict[str, object], reason: str
) -> None:
    epoch = str(uuid4())
    client = Client(server, "r39", epoch)
    bad = read(2, lane="left of the tree", **fields)
    client.batch(read(1), bad, read(3))
    answer = client.until(3)[-1]
    assert [r.sequence for r in answer.rejected] == [2]
    assert reason in answer.rejected[0].reason
    client.batch(bad)
    assert [r.sequence for r in client.next().rejected] == [2]
    assert client.close() is grpc.StatusCode.OK
    kept = [r.read for r in rejects(server, "r39") if r.epoch == epoch]
    assert [k.SerializeToString() for k in kept] == [bad.SerializeToString()]
    topics = {n: topic for n, (topic, _) in stored(server, "r39", epoch).items()}
    assert topics == {1: "ring.read", 2: "ring.read.rejected", 3: "ring.read"}


@pytest.mark.parametrize(
    "position",
    [
        CharacterCandidates(characters="AB", probabilities=[0.5]),
        CharacterCandidates(),
        CharacterCandidates(characters="AB", probabilities=[0.9, 0.9]),
        CharacterCandidates(characters="A", probabilities=[float("nan")]),
        CharacterCandidates(characters="a", probabilities=[0.9]),
        CharacterCandidates(characters="AA", probabilities=[0.4, 0.4]),
    ],
)
def test_a_malformed_posterior_is_rejected(server: Server, position: CharacterCandidates) -> None:
    client = Client(server, "r38", str(uuid4()))
    bad = read(1)
    bad.posterior.append(position)
    good = read(2)
    good.posterior.append(CharacterCandidates(characters="A4_", probabilities=[0.9, 0.05, 0.05]))
    client.batch(bad, good)
    answer = client.until(2)[-1]
    assert [(r.sequence, "posterior" in r.reason) for r in answer.rejected] == [(1, True)]
    client.close()


@pytest.mark.parametrize("sequence", [0, 10_000_003, 2**63, 2**64 - 1])
def test_an_impossible_sequence_ends_the_stream_and_stores_nothing(
    server: Server, sequence: int
) -> None:
    epoch = str(uuid4())
    client = Client(server, "r37", epoch)
    client.batch(read(1), read(2))
    client.until(2)
    client.batch(read(3), read(sequence))
    assert client.failure()[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(stored(server, "r37", epoch)) == [1, 2]
    client = Client(server, "r37", epoch)
    assert client.resume == 2
    client.batch(read(10_000_002))
    assert client.until(10_000_002)
    client.close()


def test_a_wrong_clock_is_no_reason_to_reject(server: Server, reader: str) -> None:
    epoch = str(uuid4())
    early, ahead, old, missing = read(1), read(2), read(3), read(4)
    early.captured_at.FromSeconds(946_684_799)
    ahead.captured_at.FromSeconds(NOW + 90_000)
    old.captured_at.FromSeconds(946_684_800)
    missing.ClearField("captured_at")
    client = Client(server, reader, epoch)
    client.batch(early, ahead, old, missing)
    assert not client.until(4)[-1].rejected
    client.close()
    bodies = {n: StoredRead.FromString(b) for n, (_, b) in stored(server, reader, epoch).items()}
    suspect = {n: b.time_quality == TIME_QUALITY_SUSPECT for n, b in bodies.items()}
    assert suspect == {1: True, 2: True, 3: False, 4: True}
    assert bodies[2].read.captured_at == ahead.captured_at
    assert not bodies[4].read.HasField("captured_at")
    assert bodies[4].received_at.seconds >= NOW


def test_place_lane_and_direction_come_from_the_registry_unless_the_read_says(
    server: Server, reader: str
) -> None:
    epoch = str(uuid4())
    client = Client(server, reader, epoch)
    client.batch(read(1), read(2, lane="7", direction=DIRECTION_EXIT))
    client.until(2)
    client.close()
    bodies = [StoredRead.FromString(b) for _, b in stored(server, reader, epoch).values()]
    assert [(b.checkpoint, b.lane, b.direction) for b in bodies] == [
        ("GP-01", "2", DIRECTION_ENTRY),
        ("GP-01", "7", DIRECTION_EXIT),
    ]


@pytest.mark.parametrize("direction", [7, -3])
def test_a_direction_that_there_is_not_is_as_registered(
    server: Server, reader: str, direction: int
) -> None:
    epoch = str(uuid4())
    client = Client(server, reader, epoch)
    client.batch(read(1, direction=direction))
    assert not client.until(1)[-1].rejected
    client.close()
    ((_, body),) = stored(server, reader, epoch).values()
    kept = StoredRead.FromString(body)
    assert kept.direction == DIRECTION_ENTRY
    assert kept.read.direction == direction, "the read itself is kept as it was sent"


def test_an_unknown_reader_is_refused_at_hello(server: Server) -> None:
    client = Client(server, "nobody", str(uuid4()), hello=False)
    client.send(hello=ReaderHello(reader_id="nobody", epoch=str(uuid4())))
    client.batch(read(1))
    code, details = client.failure()
    assert code is grpc.StatusCode.NOT_FOUND
    assert "ring readers import" in details
    assert client.rest == []


def test_a_revoked_reader_is_refused_even_in_the_middle_of_a_stream(
    server: Server, reader: str
) -> None:
    client = Client(server, reader, str(uuid4()))
    with server.channel() as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        registry.RevokeReader(registry_pb2.RevokeReaderRequest(reader_id=reader, reason="stolen"))
    assert client.failure()[0] is grpc.StatusCode.PERMISSION_DENIED
    client = Client(server, reader, str(uuid4()), hello=False)
    client.send(hello=ReaderHello(reader_id=reader, epoch=str(uuid4())))
    assert client.failure()[0] is grpc.StatusCode.PERMISSION_DENIED


def test_a_newer_stream_takes_over(server: Server, reader: str) -> None:
    epoch = str(uuid4())
    older = Client(server, reader, epoch)
    older.batch(read(1))
    older.until(1)
    newer = Client(server, reader, epoch)
    assert newer.resume == 1
    assert older.failure()[0] is grpc.StatusCode.ABORTED
    newer.batch(read(2))
    newer.until(2)
    other_epoch = Client(server, reader, str(uuid4()))
    newer.batch(read(3))
    newer.until(3)
    assert newer.close() is grpc.StatusCode.OK
    assert other_epoch.close() is grpc.StatusCode.OK


@pytest.mark.parametrize("case", ["no hello", "two hellos", "bad epoch", "empty", "too many"])
def test_a_stream_out_of_form_ends_with_a_clear_error(server: Server, case: str) -> None:
    hello = ReaderHello(reader_id="r36", epoch=str(uuid4()))
    client = Client(server, "r36", str(uuid4()), hello=False)
    match case:
        case "no hello":
            client.batch(read(1))
        case "two hellos":
            client.send(hello=hello)
            client.send(hello=hello)
        case "bad epoch":
            client.send(hello=ReaderHello(reader_id="r36", epoch="yesterday"))
        case "empty":
            client.send(hello=hello)
            client.batch()
        case "too many":
            client.send(hello=hello)
            client.batch(*(read(n) for n in range(1, 1002)))
    code, details = client.failure()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details


def test_a_batch_over_three_mebibytes_is_refused(server: Server) -> None:
    client = Client(server, "r36", str(uuid4()))
    client.batch(*(read(n, lane="x" * 4000) for n in range(1, 1001)))
    code, details = client.failure()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "3 MiB" in details


def test_pictures_are_stored_by_their_hash_and_bad_ones_named(server: Server, reader: str) -> None:
    client = Client(server, reader, str(uuid4()))
    jpeg = b"\xff\xd8 a picture"
    good = hashlib.sha256(jpeg).digest()
    client.send(picture=PictureUpload(sha256=good, jpeg=jpeg))
    client.send(picture=PictureUpload(sha256=b"x" * 32, jpeg=jpeg))
    large = b"x" * (256 * 1024 + 1)
    client.send(picture=PictureUpload(sha256=hashlib.sha256(large).digest(), jpeg=large))
    client.batch(read(1))
    assert client.close() is grpc.StatusCode.OK
    assert [h for r in client.rest for h in r.stored_pictures] == [good]
    assert len([h for r in client.rest for h in r.rejected_pictures]) == 2
    assert client.rest[-1].committed_sequence == 1
    path: Path = server.data / "pictures" / good.hex()[:2] / f"{good.hex()}.jpg"
    assert path.read_bytes() == jpeg

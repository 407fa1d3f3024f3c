"""Real movement records over the wire: backwards, in pieces, from five readers at once."""

import csv
import gzip
import json
import random
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from proto.ring.v1 import (
    investigation_pb2,
    investigation_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from proto.ring.v1.common_pb2 import DIRECTION_ENTRY, DIRECTION_EXIT, LogPosition, Purpose
from proto.ring.v1.ingest_pb2 import PlateRead
from tests.conftest import ROOT, Server, ServerFactory
from tests.vendor import Client

pytestmark = pytest.mark.timeout(180)

_DIRECTIONS = {"entry": DIRECTION_ENTRY, "exit": DIRECTION_EXIT}
_SAMPLE = 40
_WHY = Purpose(case_number="1", reason="test")


class Visit(NamedTuple):
    """Times in seconds since 1970, None where that passage was not seen."""

    plate: str
    entered: int | None
    left: int | None
    came_by: str
    left_by: str


def visits_of(server: Server) -> list[Visit]:
    """What a server that has ended keeps of every plate."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.visits", str(server.data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [Visit(*json.loads(line)) for line in done.stdout.splitlines()]


def test_real_movements_streamed_backwards_in_pieces_give_the_answers_counted_elsewhere(
    start_server: ServerFactory, shared_data: Path
) -> None:
    folder = shared_data / "movements"
    with gzip.open(folder / "preserve-2015.csv.gz", "rt") as file:
        records = list(csv.DictReader(file))
    answers = json.loads((folder / "answers.json").read_text())
    gates = sorted({r["checkpoint"] for r in records})
    server = start_server()
    with server.channel() as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        places = [registry_pb2.Checkpoint(code=gate) for gate in gates]
        registry.ImportCheckpoints(registry_pb2.ImportCheckpointsRequest(checkpoints=places))
        readers = [registry_pb2.Reader(reader_id=f"at-{g}", checkpoint=g) for g in gates]
        registry.ImportReaders(registry_pb2.ImportReadersRequest(readers=readers))

    # Each gate's latest record is its first read; every 1,500 reads it comes again, and sends the
    # last hundred once more.
    position = LogPosition()
    for gate in gates:
        epoch = str(uuid4())
        reads = []
        for record in reversed([r for r in records if r["checkpoint"] == gate]):
            read = PlateRead(sequence=len(reads) + 1, plate=record["plate"], confidence=0.9)
            read.direction = _DIRECTIONS[record["direction"]]
            read.captured_at.FromDatetime(datetime.fromisoformat(record["captured_at"]))
            reads.append(read)
        for piece in range(0, len(reads), 1500):
            client = Client(server, f"at-{gate}", epoch)
            for start in range(max(0, piece - 100), min(piece + 1500, len(reads)), 100):
                client.batch(*reads[start : min(start + 100, piece + 1500)])
            client.close()
            assert client.rest[-1].committed_sequence == min(piece + 1500, len(reads))
            position = client.rest[-1].position

    by_plate = defaultdict(list)
    for record in records:
        by_plate[record["plate"]].append(record)
    sample = random.Random(1).sample(sorted(by_plate), _SAMPLE)
    with server.channel() as channel:
        stub = investigation_pb2_grpc.InvestigationServiceStub(channel)
        flows = stub.ListFlows(
            investigation_pb2.ListFlowsRequest(at_least=[position]), timeout=60
        ).flows
        passages: Counter[str] = Counter()
        for flow in flows:
            passages[flow.checkpoint] += flow.passages
        assert dict(passages) == answers["per_checkpoint"]
        assert sum(passages.values()) == answers["passages"]
        for plate in [answers["most_visits_plate"], *sample]:
            timeline = stub.GetTimeline(
                investigation_pb2.GetTimelineRequest(purpose=_WHY, plate=plate)
            )
            seen = [
                (p.at.ToDatetime().isoformat() + "Z", p.checkpoint, p.direction)
                for p in timeline.passages
            ]
            assert seen == [
                (r["captured_at"], r["checkpoint"], _DIRECTIONS[r["direction"]])
                for r in by_plate[plate]
            ]
            complete = [v for v in timeline.visits if v.HasField("exited_at")]
            assert len(complete) == len(by_plate[plate]) // 2
            if plate == answers["most_visits_plate"]:
                assert len(complete) == answers["most_visits"]

    # Every plate's visits: too many to ask for one by one.
    assert server.stop() == 0
    visits = visits_of(server)
    complete = [v for v in visits if v.entered is not None and v.left is not None]
    assert len({v.plate for v in visits}) == answers["plates"]
    assert len(complete) == answers["complete_visits"]
    assert len(visits) - len(complete) == answers["open_visits"]
    stays = [v.left - v.entered for v in complete]
    assert statistics.median(stays) == answers["median_visit_s"]
    assert max(stays) == answers["longest_visit_s"]
    assert sum(v.came_by != v.left_by for v in complete) == answers["through_visits"]
    ((plate, most),) = Counter(v.plate for v in complete).most_common(1)
    assert (plate, most) == (answers["most_visits_plate"], answers["most_visits"])

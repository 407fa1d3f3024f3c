"""Metrics, health and logs: what is told, and that no plate is in any of it."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from uuid import uuid4

import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from proto.ring.v1 import operations_pb2, operations_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.ingest_pb2 import ReaderStatus
from tests.conftest import ROOT, NewStore, ServerFactory
from tests.integration.test_alerts import import_entries, register
from tests.vendor import Client, read


def test_what_prometheus_health_and_logs_are_told(
    start_server: ServerFactory, new_store: NewStore
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        metrics = f"127.0.0.1:{probe.getsockname()[1]}"
    server = start_server(env={"RING_METRICS": metrics, "RING_EVENT_STORE": new_store()})
    register(server, "r1")
    import_entries(server, "wanted", HotlistEntry(plate="SECRET1", reason="stolen"))
    epoch = str(uuid4())
    client = Client(server, "r1", epoch)
    client.send(status=ReaderStatus(spool_depth=7))
    hit = read(1, "SECRET1")
    hit.captured_at.GetCurrentTime()
    client.batch(hit, read(2, "SECRET2"), read(3, "SECRET-TOO-LONG-3"))
    client.until(3)
    client.batch(hit)
    client.next()

    # Not urlopen: it keeps the proxies of whoever called it first in this process.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def scrape() -> dict[str, float]:
        with direct.open(f"http://{metrics}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        assert "SECRET" not in text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def wait_for(name: str, value: float) -> dict[str, float]:
        deadline = time.monotonic() + 60
        while (told := scrape()).get(name) != value:
            assert time.monotonic() < deadline, (name, told.get(name))
            time.sleep(0.2)
        return told

    told = wait_for('ring_reader_spool_depth{reader="r1"}', 7)
    documented = (ROOT / "docs" / "what-to-watch.md").read_text(encoding="utf-8")
    names = {re.split(r"[{ ]", name)[0] for name in told}
    bare = {re.sub(r"_(sum|count|bucket)$", "", name) for name in names if name[:5] == "ring_"}
    bare -= {name for name in bare if name.endswith("_created")}
    assert {name for name in bare if name not in documented} == set()
    assert told['ring_reads_total{outcome="stored"}'] == 2
    assert told['ring_reads_total{outcome="rejected"}'] == 1
    assert told['ring_reads_total{outcome="resent"}'] == 1
    assert told["ring_reader_streams"] == 1
    assert told["ring_commit_seconds_count"] >= 1
    wait_for('ring_alerts_raised_total{delayed="no"}', 1)
    # Two checkpoints, a reader, three events of the list and two of its looking back, three of the
    # reads, the alert.
    wait_for("ring_projected_position", 12)
    told = wait_for("ring_matched_position", 12)
    assert told["ring_log_position"] == 12
    client.close()

    # The read process hangs: that part is ill, the others are not. It dies, and comes back.
    (child,) = psutil.Process(server.process.pid).children()
    child.suspend()
    told = wait_for('ring_part_well{part="read side"}', 0)
    assert told['ring_part_well{part="event log"}'] == 1
    with server.channel() as channel:
        checks = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        ask = health_pb2.HealthCheckRequest
        assert checks.Check(ask()).status == serving
        assert checks.Check(ask(service="ring.v1.InvestigationService")).status != serving
        status = operations_pb2_grpc.OperationsServiceStub(channel).GetStatus(
            operations_pb2.GetStatusRequest()
        )
        ill = {part.part: part.message for part in status.parts if not part.well}
        assert list(ill) == ["read side"]
        said = subprocess.run(
            [sys.executable, "-m", "ring.cli", "status", "--server", server.address],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "read side is ill" in said
        assert "event log is ill" not in said
        child.kill()
        wait_for('ring_part_well{part="read side"}', 1)
        assert checks.Check(ask(service="ring.v1.InvestigationService")).status == serving
    assert server.stop() == 0
    assert any('"a part is ill"' in line for line in server.log)
    assert not any("SECRET" in line for line in server.log)

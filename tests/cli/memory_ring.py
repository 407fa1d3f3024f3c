"""A ring in memory behind real gRPC on a loopback port, for what a real one can't be told to do:
answer slowly, differ in a rebuild, break off a stream. It keeps what it was asked."""

# ruff: noqa: N802 - gRPC names the methods
from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import subprocess
import sys
import threading
from concurrent import futures
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    common_pb2,
    hotlist_pb2,
    hotlist_pb2_grpc,
    investigation_pb2,
    investigation_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from ring.cli.__main__ import main
from tests.conftest import ROOT

LOG = "11111111-2222-3333-4444-555555555555"


def position(number: int) -> common_pb2.LogPosition:
    return common_pb2.LogPosition(log_id=LOG, position=number)


def at(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp


class MemoryRing(
    registry_pb2_grpc.RegistryServiceServicer,
    hotlist_pb2_grpc.HotlistServiceServicer,
    investigation_pb2_grpc.InvestigationServiceServicer,
    alert_pb2_grpc.AlertServiceServicer,
    operations_pb2_grpc.OperationsServiceServicer,
):
    """Five services; what is not overridden here answers UNIMPLEMENTED."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.checkpoints: dict[str, registry_pb2.Checkpoint] = {}
        self.readers: dict[str, registry_pb2.Reader] = {}
        self.entries: list[alert_pb2.HotlistEntry] = []
        self.plates: list[investigation_pb2.PlateSummary] = []
        self.common: list[investigation_pb2.CommonPlate] = []
        # Rows of the lists of plates, and whether there are more.
        self.listed, self.more = 0, False
        self.rejects: list[operations_pb2.Reject] = []
        self.progress: list[operations_pb2.RebuildProgress] = []
        # One queue a stream, in order of subscribing: messages, or a status that ends it.
        self.streams: list[list[Any]] = []
        self.subscribed: queue.Queue[alert_pb2.SubscribeRequest] = queue.Queue()
        self._start(0)

    def _start(self, port: int) -> None:
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        for module in (
            registry_pb2_grpc,
            hotlist_pb2_grpc,
            investigation_pb2_grpc,
            alert_pb2_grpc,
            operations_pb2_grpc,
        ):
            for name, add in vars(module).items():
                if name.startswith("add_") and "Projection" not in name:
                    add(self, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def stop(self) -> None:
        self.server.stop(None).wait()

    def restart(self) -> None:
        self._start(self.port)

    def ImportCheckpoints(self, request, context):
        response = registry_pb2.ImportResponse()
        self.requests.append(request)
        for row, checkpoint in enumerate(request.checkpoints, start=1):
            if " " in checkpoint.code:
                response.rejected.add(row=row, reason="code is not [A-Za-z0-9._:-]{1,64}")
                continue
            response.added += checkpoint.code not in self.checkpoints
            response.unchanged += self.checkpoints.get(checkpoint.code) == checkpoint
            self.checkpoints[checkpoint.code] = checkpoint
        return response

    def ListCheckpoints(self, request, context):
        return registry_pb2.ListCheckpointsResponse(
            checkpoints=[self.checkpoints[code] for code in sorted(self.checkpoints)]
        )

    def ImportReaders(self, request, context):
        self.readers.update({reader.reader_id: reader for reader in request.readers})
        return registry_pb2.ImportResponse(added=len(request.readers))

    def ListReaders(self, request, context):
        return registry_pb2.ListReadersResponse(readers=self.readers.values())

    def RevokeReader(self, request, context):
        if request.reader_id not in self.readers:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no reader {request.reader_id}")
        self.readers[request.reader_id].revoked = True
        return self.readers[request.reader_id]

    def ImportEntries(self, messages, context):
        header = next(messages).header
        entries, rejected, whole = [], [], False
        for message in messages:
            assert len(message.entries) <= 5000
            self.requests.append(message)
            whole = message.last
            for row, entry in zip(message.rows, message.entries, strict=True):
                if entry.plate.isalnum():
                    entries.append(entry)
                else:
                    rejected.append(hotlist_pb2.RejectedEntry(row=row, reason="no such plate"))
        if not whole:
            context.abort(grpc.StatusCode.CANCELLED, "broken off")
        self.entries = entries
        return hotlist_pb2.ImportEntriesResponse(
            hotlist=hotlist_pb2.Hotlist(
                name=header.hotlist, agency=header.agency or "default", entries=len(entries)
            ),
            added=len(entries),
            rejected=rejected[:1000],
            rejected_total=len(rejected),
            position=position(7),
        )

    def SearchPlates(self, request, context):
        self.requests.append(request)
        start = int(request.page_token or 0)
        end = start + request.page_size
        return investigation_pb2.SearchPlatesResponse(
            plates=self.plates[start:end],
            next_page_token=str(end) if end < len(self.plates) else "",
        )

    def FindCompanions(self, request, context):
        rows = [investigation_pb2.Companion() for _ in range(self.listed)]
        return investigation_pb2.FindCompanionsResponse(companions=rows, truncated=self.more)

    def FindCommonPlates(self, request, context):
        rows = self.common or [investigation_pb2.CommonPlate() for _ in range(self.listed)]
        return investigation_pb2.FindCommonPlatesResponse(plates=rows, truncated=self.more)

    def ListCloneSuspects(self, request, context):
        rows = [investigation_pb2.CloneSuspect() for _ in range(self.listed)]
        return investigation_pb2.ListCloneSuspectsResponse(suspects=rows, truncated=self.more)

    def ListFlows(self, request, context):
        return investigation_pb2.ListFlowsResponse()

    def ListPresent(self, request, context):
        rows = [investigation_pb2.PresentVehicle() for _ in range(self.listed)]
        return investigation_pb2.ListPresentResponse(vehicles=rows, total=len(rows) + self.more)

    def Subscribe(self, request, context):
        self.subscribed.put(request)
        for message in self.streams.pop(0) if self.streams else ():
            if isinstance(message, grpc.StatusCode):
                context.abort(message, "as the test wants it")
            yield message
        ended = threading.Event()
        if context.add_callback(ended.set):
            ended.wait()

    def GetStatus(self, request, context):
        return operations_pb2.GetStatusResponse(
            version="0", head=position(100), projected=position(90), read_side="ok"
        )

    def ListRejects(self, request, context):
        found = [r for r in self.rejects if r.position.position > request.after.position]
        yield from found[: request.limit]

    def Rebuild(self, request, context):
        yield from self.progress


def run(*arguments: str, server: str = "", env: dict[str, str] | None = None, timeout: float = 60):
    """The real command in a process of its own, with nothing of the caller's settings."""
    chosen = {k: v for k, v in os.environ.items() if not k.startswith("RING_")} | (env or {})
    if server:
        arguments = (*arguments, "--server", server)
    return subprocess.run(
        [sys.executable, "-m", "ring.cli", *arguments],
        env=chosen,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def lines_of(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The objects that a command printed with --json."""
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that failed."""
    assert result.returncode != 0, result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("ring: ")
    return lines[0]


def fails(*arguments: str) -> tuple[int, str]:
    """(exit code, the one line) of a command that fails before it needs a server; in process."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit) as end:
        main(arguments)
    lines = said.getvalue().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("ring: ")
    return end.value.code, lines[0]

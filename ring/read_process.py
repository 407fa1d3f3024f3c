"""The read process as the write process sees it: started, kept running, spoken to, ended.

Always true here: reads and alerts wait for it at the start alone, and not even then for a
ClickHouse server that is away.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ring.errors import Unavailable
from ring.supervision import Child

_log = structlog.get_logger("server")

REFUSED = 3
"""Its exit code where it said why it won't start: trying again changes nothing."""
_READY_SECONDS = 60.0
_CLICKHOUSE_SECONDS = 20.0


@contextlib.contextmanager
def socket_path(wanted: Path | None) -> Iterator[Path]:
    """A path short enough for a socket, in a folder that only we can enter."""
    if wanted:
        yield wanted
        return
    folder = Path(tempfile.mkdtemp(prefix="ring-"))
    try:
        yield folder / "read.sock"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ReadProcess:
    """Behind `channel`. `stop` begins its end, which need not be waited for."""

    def __init__(self, channel: grpc.aio.Channel, child: Child | None) -> None:
        self.channel = channel
        self._child = child
        self._ending: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Tells it to end."""
        if self._child is not None and self._ending is None:
            self._ending = asyncio.create_task(self._child.stop())

    async def ended(self) -> None:
        """Returns once it has ended."""
        self.stop()
        if self._ending is not None:
            await self._ending


@contextlib.asynccontextmanager
async def read_process(socket: Path, command: Sequence[str] | None) -> AsyncIterator[ReadProcess]:
    """Starts `command` and waits until it answers; None: somebody else runs it.

    Unavailable where it does not come up.
    """
    child = Child(command, refused=REFUSED) if command else None
    channel = grpc.aio.insecure_channel(
        f"unix:{socket}",
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.initial_reconnect_backoff_ms", 50),
        ],
    )
    process = ReadProcess(channel, child)
    keeping = asyncio.create_task(child.run()) if child else None
    try:
        if child and keeping:
            await _answers(channel, keeping)
            child.answered = True
        yield process
    finally:
        await channel.close()
        await process.ended()
        if keeping:
            keeping.cancel()


async def _answers(channel: grpc.aio.Channel, keeping: asyncio.Task[None]) -> None:
    """Returns once it answers questions.

    Or says for long enough that it can't yet, because its ClickHouse server is away: reads and
    alerts must not wait for that one.
    """
    stub: Any = health_pb2_grpc.HealthStub(channel)
    deadline = time.monotonic() + _READY_SECONDS
    heard: float | None = None
    while time.monotonic() < deadline and not keeping.done():
        with contextlib.suppress(grpc.aio.AioRpcError):
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True
            )
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            heard = heard or time.monotonic()
            if time.monotonic() - heard > _CLICKHOUSE_SECONDS:
                _log.warning("serving without the read side: ClickHouse can't be reached yet")
                return
        await asyncio.sleep(0.02)
    raise Unavailable("the read side did not come up: see the lines above")

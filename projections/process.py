"""The read process: serves questions on a local socket and follows the log until told to stop.

Always true here: it only reads the event log; it alone has ClickHouse's data open.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from projections.answering import City
from projections.clickhouse import ClickHouse
from projections.read_side import READERS, ReadSide
from projections.reports import AlertReports
from projections.service import Investigation, Projections
from proto.ring.v1.incident_pb2_grpc import add_AlertReportServiceServicer_to_server
from proto.ring.v1.investigation_pb2_grpc import add_InvestigationServiceServicer_to_server
from proto.ring.v1.operations_pb2_grpc import add_ProjectionServiceServicer_to_server
from ring.rpc.errors import ErrorInterceptor
from ring.store import closed_after, open_log

_GRACE_SECONDS = 2.0
_PATIENCE_SECONDS = 2.0


async def run(
    event_store_dsn: str,
    clickhouse_dsn: str,
    socket: str,
    *,
    ready: Callable[[], None],
    stop: asyncio.Event,
    clickhouse_cluster: str = "",
    city: City | None = None,
) -> None:
    """Serves InvestigationService, ProjectionService and health on unix:SOCKET until `stop`.

    `ready` is called once the schema is in place and questions can be asked. InvalidRequest on a
    DSN that is none; Unavailable where another process keeps the embedded engine's data;
    StateForbids where ClickHouse's schema is newer than this version.
    """
    clickhouse = ClickHouse.at(clickhouse_dsn, clickhouse_cluster)
    log = open_log(event_store_dsn)
    side = ReadSide(log, clickhouse)
    # One thread more than clients: the status waits for nobody's question.
    threads = ThreadPoolExecutor(READERS + 1, thread_name_prefix="question")
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    add_InvestigationServiceServicer_to_server(Investigation(side, threads, city), server)
    add_AlertReportServiceServicer_to_server(AlertReports(side, threads, city), server)
    add_ProjectionServiceServicer_to_server(Projections(side, threads), server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    await checks.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    await asyncio.to_thread(Path(socket).unlink, missing_ok=True)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    opening = asyncio.create_task(asyncio.to_thread(side.open))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            await checks.set("", health_pb2.HealthCheckResponse.SERVING)
            ready()
            await stopping
    finally:
        stopping.cancel()
        await checks.enter_graceful_shutdown()
        await server.stop(_GRACE_SECONDS)
        side.give_up_opening()
        # Nobody waits for long for a database that is away.
        with closed_after(log, _PATIENCE_SECONDS):
            with suppress(Exception):
                await opening
            await asyncio.to_thread(side.close)
            threads.shutdown()
        log.close()

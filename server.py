"""The server: settings, wiring, graceful shutdown, nothing else.

Two processes. The write process owns the public address, the event log, matching, alerts and
hotlists; it starts the read process, which owns ClickHouse, follows the log and answers
investigations over a local socket. `--role` starts one of them alone.
"""

import argparse
import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server
from pydantic import ValidationError

from proto.ring.v1 import (
    alert_pb2_grpc,
    hotlist_pb2_grpc,
    incident_pb2_grpc,
    ingest_pb2_grpc,
    look_back_pb2_grpc,
    operations_pb2_grpc,
    registry_pb2_grpc,
    webhook_pb2_grpc,
)
from ring import __version__
from ring.application import Ring
from ring.backup import check_whole
from ring.delivery import Deliveries, Patience
from ring.directory import Directory
from ring.errors import RingError
from ring.ingest import Committer
from ring.matching import Matcher
from ring.options import check_free, fail, listen_address, parse
from ring.pictures import Pictures
from ring.read_process import REFUSED, read_process, socket_path
from ring.rpc import investigation
from ring.rpc.alerts import AlertService
from ring.rpc.errors import ErrorInterceptor
from ring.rpc.health import Watch
from ring.rpc.history import LookBackService
from ring.rpc.hotlists import HotlistService
from ring.rpc.incidents import IncidentService
from ring.rpc.ingest import IngestService
from ring.rpc.look_back import LookBacks
from ring.rpc.operations import OperationsService
from ring.rpc.readers import Readers
from ring.rpc.registry import RegistryService
from ring.rpc.silence import SilenceWatch
from ring.rpc.webhooks import WebhookService
from ring.settings import Settings
from ring.signing import key_in
from ring.store import closed_after, open_log
from ring.telling import Teller
from ring.wakeup import Wakeup

_log = structlog.get_logger("server")

_SERVICES = (
    "ring.v1.IngestService",
    "ring.v1.RegistryService",
    "ring.v1.HotlistService",
    "ring.v1.LookBackService",
    "ring.v1.AlertService",
    "ring.v1.IncidentService",
    "ring.v1.WebhookService",
    "ring.v1.OperationsService",
    investigation.SERVICE,
)
_PROGRAM = str(Path(__file__).resolve())
_MAX_MESSAGE = 16 * 1024 * 1024
_GRACE_SECONDS = 3.0
_PATIENCE_SECONDS = 2.0


@contextlib.contextmanager
def _owned(data: Path) -> Iterator[None]:
    """One write process a data folder. The lock goes with the process, however it ends."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fail(f"another server runs on {data}: stop it first, or use another --data")
        yield


class WriteProcess:
    """Everything that runs in the write process."""

    def __init__(self, data: Path, settings: Settings, channel: grpc.aio.Channel) -> None:
        self.ring = Ring(settings.event_store_in(data))
        if settings.event_store_max_mib:
            self.ring.event_log.limit(settings.event_store_max_mib * 1024 * 1024)
        self.log_grew, self.alerts_changed = Wakeup(), Wakeup()
        self.directory = Directory(self.ring)
        self.directory.catch_up()
        self.committer = Committer(
            self.ring,
            self.directory,
            lambda _: self.log_grew.notify(),
            asyncio.get_running_loop(),
        )
        zone, on_alerts = ZoneInfo(settings.time_zone), self.alerts_changed.notify
        self.matcher = Matcher(self.ring, self.log_grew, on_alerts, zone)
        readers = Readers()
        self.silence = SilenceWatch(self.ring, self.directory, readers, settings.reader_silence)
        pictures = Pictures(data / "pictures")
        check_whole(pictures)
        self.ingest = IngestService(self.ring, self.committer, pictures, readers)
        patience, teller = settings.subscriber_patience.total_seconds(), Teller(self.ring)
        self.alerts = AlertService(self.ring, teller, self.alerts_changed, patience)
        self.deliveries = Deliveries(
            self.ring,
            self.alerts_changed,
            teller,
            key_in(data / "webhooks.key"),
            Patience(
                settings.webhook_attempts,
                settings.webhook_pause.total_seconds(),
                settings.webhook_give_up.total_seconds(),
            ),
        )
        # Until identity exists, a server is always --insecure.
        self.webhooks = WebhookService(self.ring, self.deliveries, plain_allowed=True)
        self.look_backs = LookBacks(
            self.ring, self.matcher, channel, on_alerts, settings.look_back, zone, patience
        )
        self.hotlists = HotlistService(self.ring, self.log_grew, self.look_backs, channel)
        self.registry = RegistryService(self.ring, self.directory, readers, self.committer.revoke)
        self.checks = health.aio.HealthServicer()
        self.watch = Watch(
            self.ring,
            self.committer,
            self.matcher,
            self.ingest,
            self.alerts,
            self.look_backs,
            channel,
            self.checks,
        )
        self.operations = OperationsService(
            self.ring,
            self.matcher,
            self.watch,
            channel,
            pictures,
            readers,
            self._grew,
        )
        self.forwarder = investigation.Forwarder(channel, pictures)
        self.incidents = IncidentService(self.ring, channel)

    def serve_on(self, server: grpc.aio.Server) -> None:
        """Adds the services."""
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(self.ingest, server)
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(self.registry, server)
        hotlist_pb2_grpc.add_HotlistServiceServicer_to_server(self.hotlists, server)
        looking_back = LookBackService(self.ring, self.look_backs.history)
        look_back_pb2_grpc.add_LookBackServiceServicer_to_server(looking_back, server)
        alert_pb2_grpc.add_AlertServiceServicer_to_server(self.alerts, server)
        operations_pb2_grpc.add_OperationsServiceServicer_to_server(self.operations, server)
        incident_pb2_grpc.add_IncidentServiceServicer_to_server(self.incidents, server)
        webhook_pb2_grpc.add_WebhookServiceServicer_to_server(self.webhooks, server)
        health_pb2_grpc.add_HealthServicer_to_server(self.checks, server)
        server.add_generic_rpc_handlers((self.forwarder.handler(),))
        reflection.enable_server_reflection(
            (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )

    def _grew(self) -> None:
        """The log has events that came by another way than a stream."""
        self.directory.catch_up()
        self.log_grew.notify()
        self.alerts_changed.notify()
        self.deliveries.refresh()

    def start(self) -> None:
        """Starts the threads."""
        self.committer.start()
        self.matcher.start()
        self.deliveries.refresh()

    def end_streams(self) -> None:
        """Tells readers and subscribers that we go away."""
        self.ingest.stop()
        self.alerts.stop()

    def close(self) -> None:
        """Ends the threads and closes the log."""
        self.committer.stop()
        self.matcher.stop()
        self.deliveries.stop()
        self.ring.close()


async def _write(options: argparse.Namespace, settings: Settings) -> None:
    host, port = listen_address(options.listen)
    stop = _stop_on_signals()
    command = [sys.executable, _PROGRAM, "--insecure", "--until-end-of-input", "--role", "read"]
    with _owned(options.data), socket_path(options.socket) as local:
        # Opened first: the read process would try again and again, for a minute.
        store = settings.event_store_in(options.data)
        with contextlib.closing(await asyncio.to_thread(open_log, store)) as claimed:
            await asyncio.to_thread(claimed.claim)
            check_free(host, port)
            command += ["--data", str(options.data), "--socket", str(local)]
            async with read_process(local, command if options.role == "all" else None) as reading:
                process = WriteProcess(options.data, settings, reading.channel)
                server = _server(process)
                await process.watch.look()
                process.start()
                address = f"[{host}]" if ":" in host else host
                try:
                    bound = server.add_insecure_port(f"{address}:{port}")
                except RuntimeError:
                    process.close()
                    fail(f"can't listen on {address}:{port}: is another server there?")
                if settings.metrics:
                    _serve_metrics(settings)
                await server.start()
                tasks = [
                    asyncio.create_task(process.silence.run()),
                    asyncio.create_task(process.watch.run()),
                    asyncio.create_task(process.look_backs.run()),
                ]
                print(f"listening on {address}:{bound}", flush=True)
                _log.info("serving", version=__version__, data=str(options.data))
                _settle()
                await stop.wait()
                _log.info("stopping")
                for task in tasks:
                    task.cancel()
                await process.checks.enter_graceful_shutdown()
                process.end_streams()
                reading.stop()
                await server.stop(_GRACE_SECONDS)
                # Nobody waits for long for a database that is away.
                with closed_after(process.ring.event_log, _PATIENCE_SECONDS):
                    await asyncio.to_thread(process.close)


def _server(process: WriteProcess) -> grpc.aio.Server:
    server = grpc.aio.server(
        interceptors=[ErrorInterceptor()],
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            # A reader or subscriber whose line is cut is noticed, and may ask us as well.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ],
    )
    process.serve_on(server)
    return server


def _serve_metrics(settings: Settings) -> None:
    host, port = settings.metrics_address()
    try:
        start_http_server(port, host)
    except OSError as error:
        fail(f"RING_METRICS: can't listen on {settings.metrics}: {error.strerror}")


async def _read(options: argparse.Namespace, settings: Settings) -> None:
    # ClickHouse is the read process's alone
    from projections import process
    from projections.answering import City

    stop = _stop_on_signals()
    # Ctrl-C goes to the whole process group: the write process ends us when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if options.until_end_of_input:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _at_end_of_input, stop)
    await process.run(
        settings.event_store_in(options.data),
        settings.clickhouse_in(options.data),
        str(options.socket),
        ready=_ready,
        stop=stop,
        clickhouse_cluster=settings.clickhouse_cluster,
        city=City(settings.max_visit, ZoneInfo(settings.time_zone), settings.incident_gap),
    )


def _ready() -> None:
    _log.info("the read side is ready")
    _settle()


def _settle() -> None:
    """Lets garbage be looked for less often, and not among what is there by now, which stays.

    Else all stand still for 25 ms and more each time (docs/adr/0006).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _at_end_of_input(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def main() -> None:
    """The command line."""
    options = parse()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ")
        if first["type"] == "time_delta_parsing":
            told = f"{first['input']!r} is no duration: write PT30S, PT6H or P3D, for instance"
        fail(f"RING_{str(first['loc'][0]).upper()}: {told}")
    run = _read if options.role == "read" else _write
    try:
        asyncio.run(run(options, settings))
    except RingError as error:
        fail(str(error), REFUSED if options.role == "read" else 1)


if __name__ == "__main__":
    main()

"""The server: settings, wiring, graceful shutdown, nothing else.

Two processes. The write process owns the public address, the event log, matching, alerts and
hotlists; it starts the read process, which owns ClickHouse, follows the log and answers
investigations over a local socket. `--role` starts one of them alone.
"""

import argparse
import asyncio
import contextlib
import fcntl
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server
from pydantic import ValidationError

from proto.ring.v1 import (
    alert_pb2_grpc,
    hotlist_pb2_grpc,
    ingest_pb2_grpc,
    operations_pb2_grpc,
    registry_pb2_grpc,
)
from ring import __version__
from ring.application import Ring
from ring.backup import check_whole
from ring.directory import Directory
from ring.errors import RingError
from ring.ingest import Committer
from ring.matching import Matcher
from ring.pictures import Pictures
from ring.rpc import investigation
from ring.rpc.alerts import AlertService
from ring.rpc.clock import now
from ring.rpc.errors import ErrorInterceptor
from ring.rpc.health import Watch
from ring.rpc.hotlists import HotlistService
from ring.rpc.ingest import IngestService, Readers
from ring.rpc.operations import OperationsService
from ring.rpc.registry import RegistryService
from ring.settings import Settings
from ring.store import open_log
from ring.supervision import Child
from ring.wakeup import Wakeup

_log = structlog.get_logger("server")

_SERVICES = (
    "ring.v1.IngestService",
    "ring.v1.RegistryService",
    "ring.v1.HotlistService",
    "ring.v1.AlertService",
    "ring.v1.OperationsService",
    investigation.SERVICE,
)
_PROGRAM = str(Path(__file__).resolve())
_MAX_MESSAGE = 16 * 1024 * 1024
_READY_SECONDS = 60.0
_CLICKHOUSE_SECONDS = 20.0
_GRACE_SECONDS = 5.0
# The read process's exit code where it said why it won't start: trying again changes nothing.
_REFUSED = 3


def _fail(message: str, code: int = 1) -> NoReturn:
    print(f"server: {message}", file=sys.stderr)
    raise SystemExit(code)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="server.py",
        description="The digital ring's server.",
        epilog="Settings: see README.md.",
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds everything kept"
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:50051",
        metavar="HOST:PORT",
        help="public address; port 0: one that the system chooses (default %(default)s)",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="plaintext, every role for everybody, reflection on; loopback addresses only",
    )
    parser.add_argument(
        "--role", choices=("all", "write", "read"), default="all", help="which processes to start"
    )
    parser.add_argument(
        "--socket", type=Path, help="local socket between the two, where they are started apart"
    )
    parser.add_argument("--until-end-of-input", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args()


def _listen_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        _fail(f"--listen {text!r} is not HOST:PORT")
    return host, int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


@contextlib.contextmanager
def _owned(data: Path) -> Iterator[None]:
    """One write process a data folder. The lock goes with the process, however it ends."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _fail(f"another server runs on {data}: stop it first, or use another --data")
        yield


@contextlib.contextmanager
def _socket_path(wanted: Path | None) -> Iterator[Path]:
    """A path short enough for a socket, in a folder that only we can enter."""
    if wanted:
        yield wanted
        return
    folder = Path(tempfile.mkdtemp(prefix="ring-"))
    try:
        yield folder / "read.sock"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class WriteProcess:
    """Everything that runs in the write process."""

    def __init__(self, data: Path, settings: Settings, channel: grpc.aio.Channel) -> None:
        self.ring = Ring(settings.event_store_in(data))
        self.silence = settings.reader_silence
        self.log_grew, self.alerts_changed = Wakeup(), Wakeup()
        self.directory = Directory(self.ring)
        self.directory.catch_up()
        self.committer = Committer(self.ring, self.directory, lambda _: self.log_grew.notify())
        self.matcher = Matcher(self.ring, self.log_grew, self.alerts_changed.notify)
        self.readers = Readers()
        pictures = Pictures(data / "pictures")
        check_whole(pictures)
        self.ingest = IngestService(self.ring, self.committer, pictures, self.readers)
        self.alerts = AlertService(self.ring, self.alerts_changed)
        self.hotlists = HotlistService(self.ring, self.log_grew)
        self.registry = RegistryService(
            self.ring, self.directory, self.readers, self.committer.revoke
        )
        self.checks = health.aio.HealthServicer()
        self.watch = Watch(
            self.ring,
            self.committer,
            self.matcher,
            self.ingest,
            self.alerts,
            channel,
            self.checks,
        )
        self.operations = OperationsService(
            self.ring,
            self.matcher,
            self.watch,
            channel,
            pictures,
            self._grew,
        )
        self.forwarder = investigation.Forwarder(channel, pictures)

    def serve_on(self, server: grpc.aio.Server) -> None:
        """Adds the services."""
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(self.ingest, server)
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(self.registry, server)
        hotlist_pb2_grpc.add_HotlistServiceServicer_to_server(self.hotlists, server)
        alert_pb2_grpc.add_AlertServiceServicer_to_server(self.alerts, server)
        operations_pb2_grpc.add_OperationsServiceServicer_to_server(self.operations, server)
        health_pb2_grpc.add_HealthServicer_to_server(self.checks, server)
        server.add_generic_rpc_handlers((self.forwarder.handler(),))

    def _grew(self) -> None:
        """The log has events that came by another way than a stream."""
        self.directory.catch_up()
        self.log_grew.notify()
        self.alerts_changed.notify()

    def start(self) -> None:
        """Starts the threads."""
        self.committer.start()
        self.matcher.start()

    async def watch_silence(self) -> None:
        """Notes readers that went silent or are heard again."""
        limit = self.silence.total_seconds()
        while True:
            await asyncio.sleep(min(30.0, limit / 2))
            for reader_id, last in self.readers.last_heard().items():
                reader = self.directory.readers.get(reader_id)
                silent = time.time() - last.seconds > limit
                if reader is not None and reader.silent != silent:
                    await asyncio.to_thread(self._note_silence, reader_id, silent, last)

    def _note_silence(self, reader_id: str, silent: bool, last: Timestamp) -> None:
        self.ring.hear_reader(reader_id, silent, now(), last)
        self.directory.catch_up()

    def end_streams(self) -> None:
        """Tells readers and subscribers that we go away."""
        self.ingest.stop()
        self.alerts.stop()

    def close(self) -> None:
        """Ends the threads and closes the log."""
        self.committer.stop()
        self.matcher.stop()
        self.ring.close()


async def _read_side_answers(channel: grpc.aio.Channel, child: asyncio.Task[None]) -> None:
    """Returns once the read process answers questions.

    Or says for long enough that it can't yet, because its ClickHouse server is away: reads and
    alerts must not wait for that one.
    """
    stub: Any = health_pb2_grpc.HealthStub(channel)
    deadline = time.monotonic() + _READY_SECONDS
    heard: float | None = None
    while time.monotonic() < deadline and not child.done():
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
    _fail("the read side did not come up: see the lines above")


@contextlib.asynccontextmanager
async def _read_side(options: argparse.Namespace, socket: Path) -> AsyncIterator[grpc.aio.Channel]:
    command = [sys.executable, _PROGRAM, "--insecure", "--until-end-of-input"]
    command += ["--data", str(options.data), "--role", "read", "--socket", str(socket)]
    process = Child(command, refused=_REFUSED)
    child = asyncio.create_task(process.run() if options.role == "all" else asyncio.sleep(1e9))
    channel = grpc.aio.insecure_channel(
        f"unix:{socket}",
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.initial_reconnect_backoff_ms", 50),
        ],
    )
    try:
        if options.role == "all":
            await _read_side_answers(channel, child)
            process.answered = True
        yield channel
    finally:
        await channel.close()
        await process.stop()
        child.cancel()


def _check_free(host: str, port: int) -> None:
    """Fails where somebody listens there: gRPC says it too, but late and in many words."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        _fail(f"can't listen on {host}:{port}: {error.strerror}")


async def _write(options: argparse.Namespace, settings: Settings) -> None:
    host, port = _listen_address(options.listen)
    stop = _stop_on_signals()
    with _owned(options.data), _socket_path(options.socket) as local:
        # Told at once: the read process would try the log again and again, for a minute.
        await asyncio.to_thread(lambda: open_log(settings.event_store_in(options.data)).close())
        _check_free(host, port)
        async with _read_side(options, local) as channel:
            process = WriteProcess(options.data, settings, channel)
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
            await process.watch.look()
            reflection.enable_server_reflection(
                (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
            )
            process.start()
            address = f"[{host}]" if ":" in host else host
            try:
                bound = server.add_insecure_port(f"{address}:{port}")
            except RuntimeError:
                process.close()
                _fail(f"can't listen on {address}:{port}: is another server there?")
            if settings.metrics:
                _serve_metrics(settings)
            await server.start()
            tasks = [
                asyncio.create_task(process.watch_silence()),
                asyncio.create_task(process.watch.run()),
            ]
            print(f"listening on {address}:{bound}", flush=True)
            _log.info("serving", version=__version__, data=str(options.data))
            await stop.wait()
            _log.info("stopping")
            for task in tasks:
                task.cancel()
            await process.checks.enter_graceful_shutdown()
            process.end_streams()
            await server.stop(_GRACE_SECONDS)
            await asyncio.to_thread(process.close)


def _serve_metrics(settings: Settings) -> None:
    host, port = settings.metrics_address()
    try:
        start_http_server(port, host)
    except OSError as error:
        _fail(f"RING_METRICS: can't listen on {settings.metrics}: {error.strerror}")


async def _read(options: argparse.Namespace, settings: Settings) -> None:
    from projections import process  # ClickHouse is the read process's alone

    stop = _stop_on_signals()
    # Ctrl-C goes to the whole process group: the write process ends us when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if options.until_end_of_input:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _at_end_of_input, stop)
    await process.run(
        settings.event_store_in(options.data),
        settings.clickhouse_in(options.data),
        str(options.socket),
        ready=lambda: _log.info("the read side is ready"),
        stop=stop,
        clickhouse_cluster=settings.clickhouse_cluster,
        max_visit=settings.max_visit,
    )


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
    options = _arguments()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    if not options.insecure:
        _fail("identity is not built yet: start with --insecure, on a loopback address")
    if options.role != "read" and not _is_loopback(_listen_address(options.listen)[0]):
        _fail(f"--insecure listens on loopback addresses only, not on {options.listen}")
    if options.role == "read" and not options.socket:
        _fail("--role read needs --socket")
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        _fail(f"RING_{str(first['loc'][0]).upper()}: {first['msg']}")
    options.data = options.data.resolve()
    run = _read if options.role == "read" else _write
    try:
        asyncio.run(run(options, settings))
    except RingError as error:
        _fail(str(error), _REFUSED if options.role == "read" else 1)


if __name__ == "__main__":
    main()

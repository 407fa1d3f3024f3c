"""What a reader's Prometheus sees: the spool, the uplink and the camera, as they are when asked.

Always true here: nothing is measured twice, each value is read where it is kept; no plate, no
picture and no address of a camera is in any of them; without LPR_METRICS nothing listens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lpr.errors import LprError
from lpr.sending import Line
from lpr.session import Session
from lpr.spool import Spool

_log = logging.getLogger("lpr.metrics")


class ReaderCollector(Collector):
    """Every metric of one running reader; the label `reader` is its id."""

    def __init__(self, session: Session, spool: Spool, line: Line) -> None:
        self._session, self._spool, self._line = session, spool, line

    def collect(self) -> Iterable[Metric]:
        """All of them, now."""
        spool, delivery = self._spool, self._line.uplink.delivery
        holding, health = self._line.holding, self._session.health()
        yield self._counter("lpr_reads_spooled", "Reads stored in the spool.", spool.spooled)
        yield self._counter(
            "lpr_reads_acknowledged",
            "Reads that the server made durable, the rejected ones included.",
            delivery.acknowledged,
        )
        yield self._counter(
            "lpr_reads_rejected", "Reads that the server recorded as rejected.", delivery.rejected
        )
        yield self._counter(
            "lpr_reads_lost", "Reads that neither spool nor memory had room for.", holding.lost
        )
        yield self._gauge("lpr_reads_held", "Reads in memory: the spool is full.", len(holding))
        yield self._gauge(
            "lpr_spool_reads", "Reads in the spool that are not acknowledged.", spool.depth()
        )
        yield self._gauge(
            "lpr_spool_epochs", "Epochs with reads in the spool.", spool.epochs_with_reads()
        )
        yield self._gauge(
            "lpr_spool_pictures", "Pictures that wait in the spool.", spool.picture_count()
        )
        yield self._counter(
            "lpr_pictures_dropped", "Pictures dropped for want of room.", spool.pictures_dropped()
        )
        yield self._counter(
            "lpr_pictures_stored", "Pictures that the server stored.", delivery.pictures_stored
        )
        yield self._counter("lpr_frames", "Pictures or frames looked at.", self._session.frames)
        yield self._counter(
            "lpr_frames_dropped", "Frames there was no time to look at.", health.dropped_frames
        )
        yield self._counter(
            "lpr_camera_reopened", "Times the camera was opened again.", self._session.reopened
        )
        yield self._gauge(
            "lpr_frames_per_second",
            "Frames looked at a second, lately.",
            health.frames_per_second,
        )
        yield self._gauge(
            "lpr_connected", "1 while the server answers on a stream.", float(delivery.connected)
        )
        if delivery.clock_offset is not None:
            yield self._gauge(
                "lpr_clock_offset_seconds",
                "Seconds to add to this clock to have the server's.",
                delivery.clock_offset,
            )
        if delivery.progressed:
            yield self._gauge(
                "lpr_seconds_since_acknowledgement",
                "Seconds since the server last acknowledged something.",
                time.monotonic() - delivery.progressed,
            )

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=["reader"])
        family.add_metric([self._spool.reader_id], value)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=["reader"])
        family.add_metric([self._spool.reader_id], value)
        return family


@contextmanager
def serving(address: str, session: Session, spool: Spool, line: Line) -> Iterator[None]:
    """Serves /metrics at HOST:PORT while it lasts; empty: does nothing.

    Raises LprError where it can't listen there.
    """
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ReaderCollector(session, spool, line))
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise LprError(
            f"metrics can't be served at {address} ({error.strerror}); "
            "give another HOST:PORT in LPR_METRICS"
        ) from error
    _log.info("metrics at http://%s:%d/metrics", host, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

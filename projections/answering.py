"""How the services of the read process answer.

Always true here: every blocking call runs in a thread; what ClickHouse says of a failed question,
which may quote plates, goes nowhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import grpc
import structlog
from google.protobuf.message import Message

from projections.clickhouse import ClickHouseError, Client
from projections.read_side import ReadSide
from proto.ring.v1.common_pb2 import LogPosition
from ring.errors import NotInTime, StateForbids, Unavailable

_T = TypeVar("_T")
_logger = structlog.get_logger("projections.service")
Context = grpc.aio.ServicerContext[Message, Message]

# Without a deadline of the caller's.
_WAIT_SECONDS = 60.0
# Before the caller's deadline, so that the answer says what it waited for.
_MARGIN_SECONDS = 0.05
# An ill read side that has not moved for so long is not waited for.
_STANDS_SECONDS = 5.0


@dataclass(frozen=True)
class City:
    """What the city's settings say: after how long a visit and an incident are over, and whose
    hours count."""

    max_visit: timedelta = timedelta(hours=72)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    incident_gap: timedelta = timedelta(hours=6)


async def ask(side: ReadSide, threads: ThreadPoolExecutor, question: Callable[[Client], _T]) -> _T:
    readers = side.readers

    def answer() -> _T:
        with readers.client() as client:
            return question(client)

    return await run(threads, answer)


async def run(threads: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
    """What it returns; Unavailable, without a plate, where ClickHouse fails."""
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, call)
    except ClickHouseError as error:
        _logger.error("question_failed", code=error.code, name=error.name)
        raise Unavailable(
            f"ClickHouse could not answer (code {error.code}, {error.name or 'no name'}): try "
            "again, and see `ring status`"
        ) from None


@contextmanager
def work(what: str) -> Iterator[None]:
    """What an operator started: StateForbids, without a plate, where ClickHouse fails inside."""
    try:
        yield
    except ClickHouseError as error:
        _logger.error("work_failed", what=what, code=error.code, name=error.name)
        why = "can't be reached"
        if error.code is not None:
            why = f"refuses (code {error.code}, {error.name or 'no name'})"
        raise StateForbids(
            f"{what} was cut short, for ClickHouse {why}: see `ring status`, and start it again "
            "when that is well"
        ) from None


async def caught_up(side: ReadSide, head: int) -> AsyncIterator[None]:
    """Yields now and then until the read side has come so far; StateForbids where it stands."""
    reached = asyncio.ensure_future(side.follower.reached(head))
    stood = -1
    try:
        while not (await asyncio.wait({reached}, timeout=_STANDS_SECONDS))[0]:
            position, health = side.follower.position, side.follower.health
            if health != "ok" and position == stood:
                raise StateForbids(
                    f"the read side has applied the log up to {position:,}, not yet to {head:,} "
                    f"({health}): start it again when that is well"
                )
            stood = position
            yield
    finally:
        reached.cancel()


async def wait(side: ReadSide, at_least: Iterable[LogPosition], context: Context) -> None:
    """Returns once the read side has come so far; NotInTime where that takes too long."""
    follower, log_id = side.follower, side.log.log_id
    wanted = 0
    for position in at_least:
        if position.log_id != log_id:
            raise StateForbids(
                f"at_least names the log {position.log_id!r}, but this ring's log is {log_id}: "
                "the ring was restored or is another one; forget that position and ask without"
            )
        wanted = max(wanted, position.position)
    if wanted <= follower.position:
        return
    remaining = context.time_remaining()
    seconds = _WAIT_SECONDS if remaining is None else max(0.0, remaining - _MARGIN_SECONDS)
    try:
        await asyncio.wait_for(follower.reached(wanted), seconds)
    except TimeoutError:
        raise NotInTime(
            f"the read side has applied the log up to {follower.position}, not yet to {wanted} "
            f"(it says: {follower.health}): ask again, or without at_least"
        ) from None

"""Group commit: the reads of all streams, stored together, each exactly once.

Always true here: one thread decides and writes, each read log's messages in their order, so its
high-water mark is exact; nothing is acknowledged before its transaction is on the disk;
a group that could not be stored acknowledges nothing and ends its streams.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from eventsourcing.persistence import IntegrityError

from proto.ring.v1.ingest_pb2 import PlateRead
from ring import metrics
from ring.application import Ring
from ring.directory import Directory
from ring.errors import NotAllowed, NotFound, RingError, TakenOver, Unavailable
from ring.intake import READ, Intake
from ring.reader import Reader
from ring.reads import Conflict, ReadLog
from ring.stream import Answer, Stream
from ring.turns import Turns

_log = structlog.get_logger(__name__)

_OUTCOMES = {
    READ: "stored",
    ReadLog.ReadRejected.TOPIC: "rejected",
    Conflict.Recorded.TOPIC: "conflict",
}


# After a group of a few reads the next one gathers for so long: fewer commits, and the matcher
# comes to write in between. A message that comes in quiet times does not wait for it.
_FEW = 20
_BREATH_SECONDS = 0.002


@dataclass
class _Work:
    stream: Stream
    reads: Sequence[PlateRead] | None  # None: hello
    received: float
    done: Callable[[Answer], None]

    @property
    def size(self) -> int:
        return len(self.reads) if self.reads else 0


class Committer:
    """The thread behind every stream. `on_commit` is told the position after each group.

    Answers are given in `loop`, those of a group in one go: a call into it for each would hand
    Python's lock to and fro for each.
    """

    def __init__(
        self,
        ring: Ring,
        directory: Directory,
        on_commit: Callable[[int], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._log = ring.event_log
        self._directory = directory
        self._on_commit = on_commit
        self._loop = loop
        self._turns: Turns[_Work] = Turns()
        self._closing = threading.Event()
        # Streams open in the committer's thread and close in the event loop's.
        self._owners: dict[UUID, Stream] = {}
        self._owning = threading.Lock()
        self._head = self._log.head()
        # What keeps it from storing; empty while it can.
        self.trouble = ""
        self._intake = Intake(self._log, self._commit)
        self._answers: list[tuple[_Work, Answer]] = []
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Deals with everything submitted so far, then ends the thread."""
        self._closing.set()
        self._turns.close()
        self._thread.join()

    @property
    def streams(self) -> int:
        """Streams that were opened and whose connections are there."""
        return len(self._owners)

    def hello(self, stream: Stream, done: Callable[[Answer], None]) -> None:
        """Opens a stream: the answer holds its resume point. Older streams of it end."""
        self._turns.put(stream.id, _Work(stream, None, 0.0, done))

    def submit(
        self,
        stream: Stream,
        reads: Sequence[PlateRead],
        received: float,
        done: Callable[[Answer], None],
    ) -> None:
        """Stores a batch. `done` is called in the event loop, in order.

        received: when it came off the wire, seconds since 1970, UTC; however long it waits here.
        """
        self._turns.put(stream.id, _Work(stream, reads, received, done))

    def _run(self) -> None:
        while group := self._turns.take():
            for work in group:
                self._take(work)
            self._commit()
            if sum(work.size for work in group) < _FEW:
                self._closing.wait(_BREATH_SECONDS)

    def _take(self, work: _Work) -> None:
        stream, intake = work.stream, self._intake
        events, before = intake.events, len(intake.events)
        try:
            if work.reads is None:
                self._open(stream)
                answer = Answer(stream.committed, 0)
            elif stream.ended is not None:
                answer = Answer(stream.committed, 0, error=stream.ended)
            else:
                answer = intake.take(stream, self._reader(stream), list(work.reads), work.received)
        except RingError as error:
            answer = Answer(stream.committed, 0, error=error)
        except Exception as error:
            # Nothing of this message may be stored. (A commit on the way began a new list.)
            del intake.events[before if intake.events is events else 0 :]
            answer = Answer(0, 0, error=self._unavailable(error))
        if answer.error is not None and stream.ended is None:
            stream.ended = answer.error
        self._answers.append((work, answer))

    def _open(self, stream: Stream) -> None:
        # Half of a log says nothing of where to resume.
        self._log.check_filled()
        self._directory.catch_up()
        self._reader(stream)
        # What an older stream of this log still has in the group is stored first.
        self._commit()
        last = self._log.select_events(stream.id, desc=True, limit=1)
        stream.committed = last[0].originator_version if last else 0
        # A commit whose answer was lost has stored more than we were told.
        self._head = max(self._head, self._log.head())
        with self._owning:
            older = self._owners.get(stream.id)
            self._owners[stream.id] = stream
            if stream.gone:
                # Nobody will tell of its end a second time.
                del self._owners[stream.id]
        if older is not None:
            older.end(TakenOver("a newer stream of this reader and epoch took over"))

    def _reader(self, stream: Stream) -> Reader:
        reader = self._directory.readers.get(stream.reader_id)
        if reader is None:
            raise NotFound(
                f"the reader {stream.reader_id!r} is not registered: import it first "
                "(ring readers import)"
            )
        if reader.revoked:
            raise NotAllowed(
                f"the reader {stream.reader_id!r} was revoked: importing it again readmits it"
            )
        return reader

    # ---- the group ------------------------------------------------------------

    def _commit(self) -> None:
        """Stores what the group has gathered, then answers."""
        events, self._intake.events = self._intake.events, []
        answers, self._answers = self._answers, []
        if events:
            began = time.perf_counter()
            try:
                positions = self._log.insert_events(events)
                assert positions
                self._head = positions[-1]
            except Exception as error:
                # An IntegrityError too: another process wrote to these logs. Every stream says
                # hello again, and so learns what is stored.
                self._fail(answers, self._unavailable(error))
            else:
                self.trouble = ""
                metrics.COMMIT_SECONDS.observe(time.perf_counter() - began)
                metrics.GROUP_EVENTS.observe(len(events))
                for topic, count in Counter(event.topic for event in events).items():
                    metrics.READS.labels(_OUTCOMES[topic]).inc(count)
                self._on_commit(self._head)
        if answers:
            for _, answer in answers:
                answer.position = self._head
            self._loop.call_soon_threadsafe(_tell, answers)

    def _fail(self, answers: list[tuple[_Work, Answer]], error: RingError) -> None:
        for work, answer in answers:
            answer.error = error
            answer.committed = 0
            answer.rejected = []
            work.stream.end(error)
            self.closed(work.stream)

    def _unavailable(self, error: Exception) -> Unavailable:
        metrics.COMMITS_FAILED.inc()
        if isinstance(error, IntegrityError):
            # It can be written, and has been: by another process, or by a first attempt of ours
            # whose answer was lost.
            _log.warning("a group was stored before", error=str(error))
        else:
            trouble = f"can't be written: {error}"
            if trouble != self.trouble:
                # Once, however often readers come back: a full disk needs no more lines.
                _log.error("the event log can't be written", exc_info=error)
            self.trouble = trouble
        return Unavailable(
            f"the server can't store just now ({error}): nothing of this is acknowledged, send "
            "it again"
        )

    def closed(self, stream: Stream) -> None:
        """The stream's connection is gone, maybe before its hello was heard. From any thread."""
        with self._owning:
            stream.gone = True
            if self._owners.get(stream.id) is stream:
                del self._owners[stream.id]

    def revoke(self, reader_id: str) -> None:
        """Ends the streams of a reader that was revoked."""
        for stream in list(self._owners.values()):
            if stream.reader_id == reader_id:
                stream.end(NotAllowed(f"the reader {reader_id!r} was revoked"))


def _tell(answers: list[tuple[_Work, Answer]]) -> None:
    for work, answer in answers:
        work.done(answer)

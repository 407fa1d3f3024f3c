"""Group commit: the reads of all streams, stored together, each exactly once.

Always true here: one thread decides and writes, in the order in which things were submitted, so a
stream's high-water mark is exact; nothing is acknowledged before its transaction is on the disk;
a group that could not be stored acknowledges nothing and ends its streams.
"""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from uuid import UUID

import structlog
from eventsourcing.persistence import StoredEvent
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import TIME_QUALITY_SUSPECT, StoredRead, StoredReject
from proto.ring.v1.ingest_pb2 import PlateRead
from ring import metrics
from ring.application import Ring
from ring.directory import Directory
from ring.errors import (
    InvalidRequest,
    NotAllowed,
    NotFound,
    RingError,
    StateForbids,
    TakenOver,
    Unavailable,
)
from ring.reader import Reader
from ring.reads import (
    MAX_AHEAD,
    Conflict,
    ReadLog,
    content,
    direction_of,
    judge,
    stored_body,
    time_quality,
)
from ring.store import seal, unseal
from ring.stream import Answer, Stream
from ring.values import conflict_id, from_micros, micros

_log = structlog.get_logger(__name__)

_READ = ReadLog.PlateRead.TOPIC
_OUTCOMES = {
    _READ: "stored",
    ReadLog.ReadRejected.TOPIC: "rejected",
    Conflict.Recorded.TOPIC: "conflict",
}
_OUT_OF_ORDER = "out of order: at or below the committed sequence, and never stored"
# Batches that one group takes at the most: bounds its memory and the wait for its commit.
_GROUP = 256


@dataclass
class _Work:
    stream: Stream
    reads: Iterable[PlateRead] | None  # None: hello
    done: Callable[[Answer], None]


class Committer:
    """The thread behind every stream. `on_commit` is told the position after each group."""

    def __init__(
        self,
        ring: Ring,
        directory: Directory,
        on_commit: Callable[[int], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ring = ring
        self._log = ring.event_log
        self._directory = directory
        self._on_commit = on_commit
        self._now = now
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._owners: dict[UUID, Stream] = {}
        self._head = self._log.head()
        # What keeps it from storing; empty while it can.
        self.trouble = ""
        # The moment at which the current message is taken: seconds, and as it is stored.
        self._at = 0.0
        self._received = Timestamp()
        self._events: list[StoredEvent] = []
        self._answers: list[tuple[_Work, Answer]] = []
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Deals with everything submitted so far, then ends the thread."""
        self._queue.put(None)
        self._thread.join()

    def hello(self, stream: Stream, done: Callable[[Answer], None]) -> None:
        """Opens a stream: the answer holds its resume point. Older streams of it end."""
        self._queue.put(_Work(stream, None, done))

    def submit(
        self, stream: Stream, reads: Iterable[PlateRead], done: Callable[[Answer], None]
    ) -> None:
        """Stores a batch. `done` is called from the committer's thread, in order."""
        self._queue.put(_Work(stream, reads, done))

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group = [self._queue.get()]
            while len(group) < _GROUP and not self._queue.empty():
                group.append(self._queue.get())
            stopping = None in group
            for work in group:
                if work is not None:
                    self._take(work)
            self._commit()

    def _take(self, work: _Work) -> None:
        stream = work.stream
        self._at = self._now()
        self._received = from_micros(int(self._at * 1000) * 1000)
        events, before = self._events, len(self._events)
        try:
            if work.reads is None:
                self._open(stream)
                answer = Answer(stream.committed, 0)
            elif stream.ended is not None:
                answer = Answer(stream.committed, 0, error=stream.ended)
            else:
                answer = self._accept(stream, list(work.reads))
        except RingError as error:
            answer = Answer(stream.committed, 0, error=error)
        except Exception as error:
            # Nothing of this message may be stored. (A commit on the way began a new list.)
            del self._events[before if self._events is events else 0 :]
            answer = Answer(0, 0, error=self._unavailable(error))
        if answer.error is not None and stream.ended is None:
            stream.ended = answer.error
        self._answers.append((work, answer))

    # ---- one message ----------------------------------------------------------

    def _open(self, stream: Stream) -> None:
        self._directory.catch_up()
        self._reader(stream)
        # What an older stream of this log still has in the group is stored first.
        self._commit()
        last = self._log.select_events(stream.id, desc=True, limit=1)
        stream.committed = last[0].originator_version if last else 0
        older = self._owners.get(stream.id)
        self._owners[stream.id] = stream
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

    def _accept(self, stream: Stream, reads: list[PlateRead]) -> Answer:
        high = stream.committed
        reader = self._reader(stream)
        ascending = True
        last = high
        for read in reads:
            sequence = read.sequence
            if sequence == 0:
                raise InvalidRequest("a sequence is 0: sequences start at 1")
            if sequence > high + MAX_AHEAD:
                raise InvalidRequest(
                    f"the sequence {sequence} is more than {MAX_AHEAD} above the committed {high}"
                )
            if sequence <= last:
                ascending = False
            last = sequence
        if ascending:
            answer = Answer(last, 0)
            for read in reads:
                self._keep(stream, reader, read, judge(read), answer)
        else:
            answer = self._sort_out(stream, reader, reads)
        stream.committed = max(stream.committed, answer.committed)
        return answer

    def _keep(
        self, stream: Stream, reader: Reader, read: PlateRead, reason: str | None, answer: Answer
    ) -> None:
        """One read that was never stored, as an event of the group."""
        if reason is not None:
            answer.rejected.append((read.sequence, reason))
            self._events.append(self._reject(stream, read, reason))
            return
        read.DiscardUnknownFields()
        quality = time_quality(read, self._at)
        received = self._received
        at = received if quality == TIME_QUALITY_SUSPECT else read.captured_at
        place = reader.assignment_at(micros(at))
        rest = stream.rest(
            received, quality, place, read.lane or place.lane, direction_of(read, place.direction)
        )
        state = seal(stored_body(content(read), rest))
        self._events.append(StoredEvent(stream.id, read.sequence, _READ, state))

    def _reject(self, stream: Stream, read: PlateRead, reason: str) -> StoredEvent:
        body = self._stored_reject(stream, read, reason)
        return StoredEvent(
            stream.id, read.sequence, ReadLog.ReadRejected.TOPIC, seal(body.SerializeToString())
        )

    def _stored_reject(self, stream: Stream, read: PlateRead, reason: str) -> StoredReject:
        return StoredReject(
            read=read,
            received_at=self._received,
            reader_id=stream.reader_id,
            epoch=stream.epoch,
            reason=reason,
        )

    # ---- messages with something that may be stored already -------------------

    def _sort_out(self, stream: Stream, reader: Reader, reads: list[PlateRead]) -> Answer:
        """Tells resent reads from conflicts, late ones and new ones."""
        self._commit()
        if stream.ended is not None:
            raise stream.ended
        sequences = [read.sequence for read in reads]
        known: dict[int, tuple[bytes, str | None]] = {
            event.originator_version: _stored_content(event)
            for event in self._log.select_events(
                stream.id, gt=min(sequences) - 1, lte=max(sequences)
            )
        }
        answer = Answer(stream.committed, 0)
        high = stream.committed
        fresh: list[tuple[PlateRead, str | None]] = []
        conflicts: list[PlateRead] = []
        resent = 0
        for read in reads:
            whole = PlateRead.FromString(content(read))
            reason = judge(read)
            if reason is None:
                read.DiscardUnknownFields()
            before = known.get(read.sequence)
            if before is None:
                if read.sequence <= high:
                    # Kept whole, as it came: nothing of it was judged good.
                    read, reason = whole, _OUT_OF_ORDER
                fresh.append((read, reason))
                known[read.sequence] = (content(read), reason)
                high = max(high, read.sequence)
            elif content(read) != before[0] and content(whole) != before[0]:
                conflicts.append(whole)
            else:
                resent += 1
                if before[1] is not None:
                    answer.rejected.append((read.sequence, before[1]))
        metrics.READS.labels("resent").inc(resent)
        if conflicts:
            # Nothing that is new is stored: the reader sends it again in its new epoch. What it
            # sent before the conflict is stored already, and acknowledged.
            self._record_conflicts(stream, conflicts)
            first = min(read.sequence for read in conflicts)
            answer.committed = min(stream.committed, first - 1)
            answer.rejected = [r for r in answer.rejected if r[0] < first]
            answer.error = StateForbids(
                f"new epoch needed: the sequence {first} is stored already with other content"
            )
            return answer
        for read, reason in fresh:
            self._keep(stream, reader, read, reason, answer)
        answer.rejected.sort()
        answer.committed = high
        return answer

    def _record_conflicts(self, stream: Stream, reads: list[PlateRead]) -> None:
        events = {}
        for read in reads:
            digest = hashlib.sha256(content(read)).digest()
            id_ = conflict_id(stream.reader_id, stream.epoch, read.sequence, digest)
            body = self._stored_reject(stream, read, "the sequence is stored with other content")
            events[id_] = StoredEvent(
                id_, 1, Conflict.Recorded.TOPIC, seal(body.SerializeToString())
            )
        for id_ in self._log.select_known(list(events)):
            del events[id_]
        self._events.extend(events.values())

    # ---- the group ------------------------------------------------------------

    def _commit(self) -> None:
        """Stores what the group has gathered, then answers."""
        events, self._events = self._events, []
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
        for work, answer in answers:
            answer.position = self._head
            work.done(answer)

    def _fail(self, answers: list[tuple[_Work, Answer]], error: RingError) -> None:
        for work, answer in answers:
            answer.error = error
            answer.committed = 0
            answer.rejected = []
            work.stream.end(error)
            if self._owners.get(work.stream.id) is work.stream:
                del self._owners[work.stream.id]

    def _unavailable(self, error: Exception) -> Unavailable:
        self.trouble = f"can't be written: {error}"
        metrics.COMMITS_FAILED.inc()
        _log.error("the event log can't be written", exc_info=error)
        return Unavailable(
            f"the server can't store just now ({error}): nothing of this is acknowledged, send "
            "it again"
        )

    def closed(self, stream: Stream) -> None:
        """The stream's connection is gone. Called from any thread."""
        if self._owners.get(stream.id) is stream:
            self._owners.pop(stream.id, None)

    def revoke(self, reader_id: str) -> None:
        """Ends the streams of a reader that was revoked."""
        for stream in list(self._owners.values()):
            if stream.reader_id == reader_id:
                stream.end(NotAllowed(f"the reader {reader_id!r} was revoked"))


def _stored_content(event: StoredEvent) -> tuple[bytes, str | None]:
    body = unseal(event.state)
    if event.topic == _READ:
        return content(StoredRead.FromString(body).read), None
    reject = StoredReject.FromString(body)
    return content(reject.read), reject.reason

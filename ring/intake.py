"""What becomes of each read of a message: stored, rejected, resent, in conflict, too late.

Always true here: a message is decided against the stream's high-water mark as of its turn, and
either all that is new in it becomes events of the group, or an error says why nothing does.
"""

import hashlib
from collections.abc import Callable, Sequence

from eventsourcing.persistence import StoredEvent
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import TIME_QUALITY_SUSPECT, StoredRead, StoredReject
from proto.ring.v1.ingest_pb2 import PlateRead
from ring import metrics
from ring.errors import InvalidRequest, StateForbids
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
from ring.store import EventLog, seal, unseal
from ring.stream import Answer, Stream
from ring.values import conflict_id, from_micros, micros

READ = ReadLog.PlateRead.TOPIC
_OUT_OF_ORDER = "out of order: at or below the committed sequence, and never stored"


class Intake:
    """Makes the events of one group. Used by one thread.

    `settle` stores what the group has gathered so far: what is stored already can only be looked
    up once it is.
    """

    def __init__(self, log: EventLog, settle: Callable[[], None]) -> None:
        self._log = log
        self._settle = settle
        self.events: list[StoredEvent] = []
        # When the current message was received: seconds, and as it is stored.
        self._at = 0.0
        self._received = Timestamp()

    def take(self, stream: Stream, reader: Reader, reads: Sequence[PlateRead], at: float) -> Answer:
        """Decides a message that came at `at`, seconds since 1970, UTC."""
        self._at = at
        self._received = from_micros(int(at * 1000) * 1000)
        last = stream.committed
        furthest = last + MAX_AHEAD
        ascending = True
        for read in reads:
            sequence = read.sequence
            if sequence <= last:
                if sequence == 0:
                    raise InvalidRequest("a sequence is 0: sequences start at 1")
                ascending = False
            if sequence > furthest:
                raise InvalidRequest(
                    f"the sequence {sequence} is more than {MAX_AHEAD} above the committed "
                    f"{stream.committed}"
                )
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
            body = self._stored_reject(stream, read, reason)
            state = seal(body.SerializeToString())
            topic = ReadLog.ReadRejected.TOPIC
            self.events.append(StoredEvent(stream.id, read.sequence, topic, state))
            return
        read.DiscardUnknownFields()
        received = self._received
        quality = time_quality(read, self._at)
        place = reader.only_assignment or reader.assignment_at(
            micros(received if quality == TIME_QUALITY_SUSPECT else read.captured_at)
        )
        rest = stream.rest(
            received, quality, place, read.lane or place.lane, direction_of(read, place.direction)
        )
        state = seal(stored_body(content(read), rest))
        self.events.append(StoredEvent(stream.id, read.sequence, READ, state))

    def _stored_reject(self, stream: Stream, read: PlateRead, reason: str) -> StoredReject:
        return StoredReject(
            read=read,
            received_at=self._received,
            reader_id=stream.reader_id,
            epoch=stream.epoch,
            reason=reason,
        )

    # ---- messages with something that may be stored already -------------------

    def _sort_out(self, stream: Stream, reader: Reader, reads: Sequence[PlateRead]) -> Answer:
        """Tells resent reads from conflicts, late ones and new ones."""
        self._settle()
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
        self.events.extend(events.values())


def _stored_content(event: StoredEvent) -> tuple[bytes, str | None]:
    body = unseal(event.state)
    if event.topic == READ:
        return content(StoredRead.FromString(body).read), None
    reject = StoredReject.FromString(body)
    return content(reject.read), reject.reason

"""Judging a rejected or conflicting read again.

Always true here: the reject stays in the log; a readmitted read goes to a read log whose epoch
follows from what was rejected, so it can't be stored twice, nor take another read's identity.
"""

from eventsourcing.persistence import IntegrityError, StoredEvent
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.common_pb2 import LogPosition
from proto.ring.v1.events_pb2 import TIME_QUALITY_SUSPECT, StoredRead, StoredReject
from ring.application import Ring
from ring.errors import NotFound, StateForbids
from ring.reader import Reader
from ring.reads import Conflict, ReadLog, content, direction_of, judge, time_quality
from ring.store import seal, unseal
from ring.values import micros, read_log_id, reader_stream_id, readmission_epoch

REJECTS = (ReadLog.ReadRejected.TOPIC, Conflict.Recorded.TOPIC)


def readmit(ring: Ring, position: LogPosition) -> tuple[LogPosition, bool]:
    """Stores the read that was rejected at a position; where, and whether it was there already.

    NotFound where nothing was rejected there, StateForbids where it is no better today.
    """
    log = ring.event_log
    if position.log_id not in ("", log.log_id):
        raise StateForbids(
            f"the position is of another log, this one is {log.log_id}: the ring was restored "
            "or is another one; `ring rejects` lists the positions of today"
        )
    found = [n for n in log.select_positions([position.position]) if n.topic in REJECTS]
    if not found:
        raise NotFound(f"nothing was rejected at {position.position}: see ring rejects list")
    reject = StoredReject.FromString(unseal(found[0].state))
    epoch = readmission_epoch(reject.reader_id, reject.epoch, content(reject.read))
    id_ = read_log_id(reject.reader_id, epoch)
    body = _judged(ring, reject, epoch)
    event = StoredEvent(
        id_, body.read.sequence, ReadLog.PlateRead.TOPIC, seal(body.SerializeToString())
    )
    try:
        positions = log.insert_events([event])
    except IntegrityError:
        return ring.position(log.head()), True
    assert positions
    return ring.position(positions[0]), False


def _judged(ring: Ring, reject: StoredReject, epoch: str) -> StoredRead:
    read = reject.read
    reason = judge(read)
    if reason is not None:
        raise StateForbids(f"the read is no better today: {reason}")
    read.DiscardUnknownFields()
    reader = ring.get(Reader, reader_stream_id(reject.reader_id))
    assert reader is not None  # its reads are stored, so it was registered
    received: Timestamp = reject.received_at
    quality = time_quality(read, received.seconds)
    at = received if quality == TIME_QUALITY_SUSPECT else read.captured_at
    place = reader.assignment_at(micros(at))
    return StoredRead(
        read=read,
        received_at=received,
        reader_id=reject.reader_id,
        epoch=epoch,
        checkpoint=place.checkpoint,
        lane=read.lane or place.lane,
        direction=direction_of(read, place.direction),
        time_quality=quality,
    )

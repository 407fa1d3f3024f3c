"""The field's small values: plates, codes, identities, instants.

Always true here: every identity is a UUIDv5 in one namespace, so that the same thing has the
same identity wherever and however often it is computed.
"""

import hashlib
import re
from datetime import UTC, datetime
from uuid import UUID, uuid5

from google.protobuf.timestamp_pb2 import Timestamp

from ring.errors import InvalidRequest

NAMESPACE = UUID("ed9e6a41-87b3-464e-b463-96b040668347")

_SEPARATORS = str.maketrans("", "", " \t-.·•_/")
_PLATE = re.compile(r"[A-Z0-9]{2,12}")
_CODE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9._:-](?:[A-Za-z0-9 ._:-]{0,62}[A-Za-z0-9._:-])?")

is_plate = _PLATE.fullmatch
# Of what people write and alerts, lists and webhooks are told with: some of them are to fit into
# the 4 MiB that a gRPC client takes of a message when it says nothing else.
MOST_TEXT_BYTES = 16 * 1024


def normalise_plate(text: str) -> str:
    """Upper case, without separators. The result may still be no plate: see `is_plate`."""
    return text.translate(_SEPARATORS).upper()


def plate_of(text: str) -> str:
    """A normalised plate, or InvalidRequest."""
    plate = normalise_plate(text)
    if not is_plate(plate):
        raise InvalidRequest(
            f"{text!r} is not a plate: 2 to 12 letters A-Z and digits are needed"
            if text
            else "a plate is missing"
        )
    return plate


def code_of(text: str, what: str) -> str:
    """A checkpoint's code or reader's id, or InvalidRequest."""
    if not _CODE.fullmatch(text):
        raise InvalidRequest(
            f"{text!r} is not a {what}: 1 to 64 of the letters A-Z a-z, digits and . _ : -"
        )
    return text


def name_of(text: str, what: str) -> str:
    """A hotlist's or agency's name, or InvalidRequest."""
    if not _NAME.fullmatch(text):
        raise InvalidRequest(
            f"{text!r} is not a {what}: 1 to 64 of the letters A-Z a-z, digits, . _ : - and "
            "spaces inside"
        )
    return text


def check_text(text: str, what: str) -> None:
    """InvalidRequest where a text is longer than one that is told again and again may be."""
    if len(text.encode()) > MOST_TEXT_BYTES:
        raise InvalidRequest(f"the {what} is longer than {MOST_TEXT_BYTES // 1024} KiB: shorten it")


def epoch_of(text: str) -> str:
    """A UUID in lower case with hyphens, or InvalidRequest."""
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidRequest(f"the epoch {text!r} is not a UUID") from None


def read_log_id(reader_id: str, epoch: str) -> UUID:
    """Identity of a reader's read log in one epoch."""
    return uuid5(NAMESPACE, f"read-log:{reader_id}/{epoch}")


def read_id(reader_id: str, epoch: str, sequence: int) -> UUID:
    """Identity of one read, as PlateSighting.read_id promises it."""
    return uuid5(NAMESPACE, f"{reader_id}/{epoch}/{sequence}")


class ReadIds:
    """`read_id` for many reads of one reader and epoch, at a third of the cost."""

    def __init__(self, reader_id: str, epoch: str) -> None:
        self._hash = hashlib.sha1(
            NAMESPACE.bytes + f"{reader_id}/{epoch}/".encode(), usedforsecurity=False
        )

    def high(self, sequence: int) -> int:
        """The first 64 bits of the read's id: orders reads as their ids do."""
        digest = self._hash.copy()
        digest.update(b"%d" % sequence)
        high = int.from_bytes(digest.digest()[:8], "big")
        return high & ~(0xF << 12) | 5 << 12


def conflict_id(reader_id: str, epoch: str, sequence: int, digest: bytes) -> UUID:
    """Identity of a sequence that came again with other content."""
    return uuid5(NAMESPACE, f"conflict:{reader_id}/{epoch}/{sequence}/{digest.hex()}")


def readmission_epoch(reader_id: str, epoch: str, read: bytes) -> str:
    """The epoch of a read that was rejected and is stored after all, from its serialised self."""
    digest = hashlib.sha256(read).hexdigest()
    return str(uuid5(NAMESPACE, f"readmitted:{reader_id}/{epoch}/{digest}"))


def checkpoint_id(code: str) -> UUID:
    """Identity of a checkpoint."""
    return uuid5(NAMESPACE, f"checkpoint:{code}")


def reader_stream_id(reader_id: str) -> UUID:
    """Identity of a reader."""
    return uuid5(NAMESPACE, f"reader:{reader_id}")


def hotlist_id(agency: str, name: str) -> UUID:
    """Identity of an agency's hotlist. A slash is in neither name."""
    return uuid5(NAMESPACE, f"hotlist:{agency}/{name}")


def look_back_id(import_id: str) -> UUID:
    """Identity of the looking back for what an import added."""
    return uuid5(NAMESPACE, f"look-back:{import_id}")


def alert_id(read: str, entry: str) -> UUID:
    """Identity of the alert of one read and one entry, as Alert.alert_id promises it."""
    return uuid5(NAMESPACE, f"{read}/{entry}")


def timestamp(at: datetime) -> Timestamp:
    """An aware datetime as protobuf has it."""
    result = Timestamp()
    result.FromDatetime(at.astimezone(UTC))
    return result


def micros(at: Timestamp) -> int:
    """Microseconds since 1970, UTC. Nanoseconds below are cut off."""
    return at.seconds * 1_000_000 + at.nanos // 1000


def from_micros(value: int) -> Timestamp:
    """The reverse of `micros`."""
    seconds, rest = divmod(value, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)

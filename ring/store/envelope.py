"""How an event's body lies in the store: one format byte, a key id, then the body.

Always true here: format 1 is protobuf; key id 0 (a varint) means that the body is plain. Other
key ids are kept free for encryption, so that it can come without touching old events.
"""

from typing import Any
from uuid import UUID

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from ring.events import Event, event_class

PROTOBUF = 1
PLAIN = bytes((PROTOBUF, 0))
_HEADER = len(PLAIN)


class UnreadableEventError(Exception):
    """A stored event that this version can't read: written by a newer one, or damaged."""


def seal(body: bytes) -> bytes:
    """A body as it is stored."""
    return PLAIN + body


def unseal(state: bytes) -> bytes:
    """The body of a stored state."""
    if state[:_HEADER] != PLAIN:
        raise UnreadableEventError(
            f"format {state[0] if state else 'none'} with key {state[1:2].hex() or 'none'} is not "
            "known to this version"
        )
    return state[_HEADER:]


class EnvelopeMapper(Mapper[UUID]):
    """Between events and stored events; takes the place of the library's JSON mapper."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Seals an event."""
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=domain_event.TOPIC,
            state=seal(domain_event.body.SerializeToString(deterministic=True)),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Event[Any]:
        """Opens a stored event. UnreadableEventError where it can't."""
        try:
            cls = event_class(stored_event.topic)
        except KeyError:
            raise UnreadableEventError(
                f"an event with the topic {stored_event.topic!r} was written by a newer version"
            ) from None
        originator_id = stored_event.originator_id
        if not isinstance(originator_id, UUID):
            originator_id = UUID(originator_id)
        body = cls.BODY.FromString(unseal(stored_event.state))
        return cls(originator_id, stored_event.originator_version, body)

"""What an event is here: who, which version, and a protobuf body.

Always true here: an event's topic is written out, stable for ever, and names exactly one body
message; a stored event of any released version can be read.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID

from google.protobuf.message import Message

B = TypeVar("B", bound=Message)

_TOPICS: dict[str, type["Event[Any]"]] = {}


class Event(Generic[B]):
    """One thing that happened to one event-sourced object.

    Subclasses are nested in the object they happen to, in the past tense, and set TOPIC and BODY.
    """

    TOPIC: ClassVar[str]
    BODY: ClassVar[type[Message]]

    __slots__ = ("body", "originator_id", "originator_version")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _TOPICS.setdefault(cls.TOPIC, cls) is not cls:
            raise TypeError(f"two events have the topic {cls.TOPIC}")

    def __init__(self, originator_id: UUID, originator_version: int, body: B) -> None:
        self.originator_id = originator_id
        self.originator_version = originator_version
        self.body = body


def event_class(topic: str) -> type[Event[Any]]:
    """The event of a topic. KeyError where no such event was ever defined."""
    return _TOPICS[topic]


def topics() -> dict[str, type[Event[Any]]]:
    """Every topic there is."""
    return dict(_TOPICS)


class EventSourced:
    """An object whose state is its events: commands trigger them, `when` folds them in."""

    def __init__(self, id_: UUID) -> None:
        self.id = id_
        self.version = 0
        self._pending: list[Event[Any]] = []

    def trigger(self, event: type[Event[B]], body: B) -> None:
        """Makes the next event happen; `Ring.save` stores it."""
        happened = event(self.id, self.version + 1, body)
        self.apply(happened)
        self._pending.append(happened)

    def apply(self, event: Event[Any]) -> None:
        """Folds one event in."""
        self.version = event.originator_version
        self.when(event)

    def when(self, event: Event[Any]) -> None:
        """How an event changes the state."""
        raise TypeError(f"{type(self).__name__} does not know {type(event).__name__}")

    @property
    def pending(self) -> Sequence[Event[Any]]:
        """What was triggered and is not stored yet."""
        return tuple(self._pending)

    def collect_events(self) -> Sequence[Event[Any]]:
        """Hands over what was triggered since the last call."""
        pending, self._pending = self._pending, []
        return pending

    @classmethod
    def fold(cls, initial: Self | None, events: Iterable[Event[Any]]) -> Self | None:
        """The object after these events; None where there is none. (A projector function.)"""
        result = initial
        for event in events:
            if result is None:
                result = cls(event.originator_id)
            result.apply(event)
        return result

"""A webhook: where alerts are sent, which ones, and what could not be delivered.

Always true here: its secret is in no event; an alert that was given up is a dead letter until it
was sent after all, so none is lost between the two.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import (
    DeadLetterSent,
    DeliveryGivenUp,
    ResendAsked,
    WebhookAdded,
    WebhookRemoved,
)
from ring.errors import NotFound
from ring.events import Event, EventSourced

# One that has so many is sent nothing more: it can't be that nobody cares.
MOST_DEAD = 1000


def no_webhook(webhook_id: str) -> NotFound:
    """There is none, or none that the caller may know of."""
    return NotFound(f"there is no webhook {webhook_id!r}: see ring webhooks list")


class Webhook(EventSourced):
    """Added once; alerts given up and sent again since; removed."""

    class Added(Event[WebhookAdded]):
        """Alerts are sent there from now on."""

        TOPIC = "ring.webhook.added"
        BODY = WebhookAdded

    class Removed(Event[WebhookRemoved]):
        """It is sent nothing more."""

        TOPIC = "ring.webhook.removed"
        BODY = WebhookRemoved

    class GivenUp(Event[DeliveryGivenUp]):
        """An alert could not be delivered: a dead letter."""

        TOPIC = "ring.webhook.given_up"
        BODY = DeliveryGivenUp

    class AskedAgain(Event[ResendAsked]):
        """Dead letters are to be sent again."""

        TOPIC = "ring.webhook.resend_asked"
        BODY = ResendAsked

    class Resent(Event[DeadLetterSent]):
        """A dead letter was delivered after all."""

        TOPIC = "ring.webhook.resent"
        BODY = DeadLetterSent

    added: WebhookAdded

    def __init__(self, id_: UUID) -> None:
        super().__init__(id_)
        self.removed = False
        # By the position of the alert's event.
        self.dead: dict[int, DeliveryGivenUp] = {}
        self.resending: set[int] = set()

    @property
    def is_full(self) -> bool:
        """It has so many dead letters that it is sent nothing more."""
        return len(self.dead) >= MOST_DEAD

    @classmethod
    def add(cls, id_: UUID, body: WebhookAdded) -> "Webhook":
        """A new webhook."""
        webhook = cls(id_)
        webhook.trigger(cls.Added, body)
        return webhook

    def remove(self, by: str, at: Timestamp) -> None:
        """It is sent nothing more."""
        body = WebhookRemoved(at=at, webhook_id=str(self.id), by=by)
        self.trigger(self.Removed, body)

    def give_up(
        self, alert_id: str, position: int, attempts: int, reason: str, at: Timestamp
    ) -> None:
        """An alert's event could not be delivered."""
        body = DeliveryGivenUp(
            at=at,
            webhook_id=str(self.id),
            alert_id=alert_id,
            position=position,
            attempts=attempts,
            reason=reason,
        )
        self.trigger(self.GivenUp, body)

    def ask_resend(self, alert_ids: Collection[str], by: str, at: Timestamp) -> int:
        """Its dead letters, or those of these alerts, are sent again; how many."""
        unknown = set(alert_ids) - {letter.alert_id for letter in self.dead.values()}
        if unknown:
            raise NotFound(
                f"there is no dead letter of the alert {min(unknown)!r}: see ring webhooks dead"
            )
        positions = [
            position
            for position, letter in sorted(self.dead.items())
            if not alert_ids or letter.alert_id in alert_ids
        ]
        if positions:
            body = ResendAsked(at=at, webhook_id=str(self.id), by=by, positions=positions)
            self.trigger(self.AskedAgain, body)
        return len(positions)

    def sent(self, position: int, at: Timestamp) -> None:
        """An alert's event was delivered; recorded where it had been given up."""
        if position in self.dead:
            body = DeadLetterSent(at=at, webhook_id=str(self.id), position=position)
            self.trigger(self.Resent, body)

    def when(self, event: Event[Any]) -> None:
        """Folds one event in."""
        match event:
            case Webhook.Added():
                self.added = event.body
            case Webhook.Removed():
                self.removed = True
            case Webhook.GivenUp():
                self.dead[event.body.position] = event.body
                self.resending.discard(event.body.position)
            case Webhook.AskedAgain():
                self.resending.update(event.body.positions)
            case Webhook.Resent():
                self.dead.pop(event.body.position, None)
                self.resending.discard(event.body.position)

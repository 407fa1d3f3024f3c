"""Alerts on their way to webhooks: a thread each, which follows the log from its own place.

Always true here: a webhook's place in the log moves on only after what lies before it was delivered
or is recorded as a dead letter, so a stop at any moment loses nothing; one that hangs holds up no
other, and holds no more than a page of alerts. What its agency may see is looked up before each
attempt: what it may see no more is left out, and is no dead letter.
"""

import random
import threading
import time
from typing import NamedTuple
from uuid import UUID

import structlog
from eventsourcing.persistence import Tracking

from proto.ring.v1.alert_pb2 import Alert
from ring import metrics
from ring.access import Caller, Right
from ring.application import Ring
from ring.posting import Outcome, Poster, letter_of
from ring.rpc.clock import now
from ring.selection import is_wanted
from ring.sharing import Shares
from ring.signing import digest_of, secret_of
from ring.telling import RAISED, WITH_UPDATES, Teller, Told
from ring.wakeup import Wakeup
from ring.webhook import Webhook

_log = structlog.get_logger(__name__)

_PAGE = 50
_IDLE_SECONDS = 1.0
_LONGEST_PAUSE = 300.0
# How many positions without an alert of its own may be looked through again after a stop.
_TRACK_EVERY = 20_000
_STOP_SECONDS = 1.0
_TOPICS = [Webhook.Added.TOPIC, Webhook.Removed.TOPIC]


class Patience(NamedTuple):
    """How often and how long is tried. Seconds."""

    attempts: int = 10
    first_pause: float = 1.0
    give_up: float = 86_400.0


class State(NamedTuple):
    """How a webhook is."""

    position: int
    attempts: int
    trouble: str


class _GoneError(Exception):
    """The webhook was removed, or the server stops."""


class _HiddenError(Exception):
    """The webhook's agency may not see the alert any more."""


class Worker:
    """One webhook's thread."""

    def __init__(
        self,
        ring: Ring,
        wakeup: Wakeup,
        teller: Teller,
        webhook: Webhook,
        secret: str,
        patience: Patience,
    ) -> None:
        self._ring = ring
        self._log = ring.event_log
        self._wakeup = wakeup
        self._teller = teller
        self._webhook = webhook
        self._id = webhook.id
        self._secret = secret
        self._patience = patience
        self._filter = webhook.added.filter
        self._caller = Caller(webhook.added.agency)
        self._shares = Shares(ring)
        self._name = f"webhook {webhook.id}"
        self.position = max(webhook.added.after, self._log.max_tracking_id(self._name) or 0)
        self._tracked = self.position
        self._attempts = 0
        self._trouble = ""
        self._stopping = False
        # Something about the webhook itself has changed.
        self._nudged = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    @property
    def state(self) -> State:
        """How it is now."""
        return State(self.position, self._attempts, self._trouble)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def nudge(self) -> None:
        """Looks at the webhook anew, and tries at once what it waits with."""
        self._nudged.set()

    def stop(self) -> None:
        """Sends nothing more after what is under way."""
        self._stopping = True
        self._nudged.set()

    def join(self, seconds: float) -> None:
        """Waits for the thread's end, not for long: a receiver may hang."""
        self._thread.join(seconds)

    def _run(self) -> None:
        if digest_of(self._secret) != self._webhook.added.secret_digest:
            self._trouble = (
                "its secret was made with another key: bring back webhooks.key, or remove the "
                "webhook and add it again"
            )
            return
        poster = Poster(self._webhook.added.url, str(self._id), self._secret)
        while not self._stopping:
            seen = self._wakeup.count
            try:
                went = self._step(poster)
            except _GoneError:
                break
            except Exception as error:
                if not self._stopping:
                    _log.error("sending alerts tries again", webhook=str(self._id), exc_info=error)
                    self._nudged.wait(_IDLE_SECONDS)
                continue
            if not went:
                self._wakeup.wait(seen, _IDLE_SECONDS)
        poster.close()

    def _step(self, poster: Poster) -> bool:
        """Sends a dead letter that is to go again, or a page of alerts; False at the end."""
        self._look()
        if self._webhook.resending:
            self._resend(poster, min(self._webhook.resending))
            return True
        if self._webhook.is_full:
            self._trouble = (
                f"stands still with {len(self._webhook.dead):,} dead letters: see that the "
                "receiver is well, then ring webhooks resend"
            )
            return False
        topics = WITH_UPDATES if self._filter.include_updates else RAISED
        found = self._teller.stretch(self.position, topics, _PAGE)
        for told in found.told:
            self._look()
            if is_wanted(self._filter, told.message.alert):
                self._send(poster, told)
                self.position = told.position
                self._track()
            if self._webhook.is_full or self._webhook.resending:
                return True
        self.position = max(self.position, found.upto)
        if self.position - self._tracked >= _TRACK_EVERY:
            self._track()
        return bool(found.told)

    def _look(self) -> None:
        if self._nudged.is_set():
            self._nudged.clear()
            self._webhook = self._ring.get(Webhook, self._id) or self._webhook
        if self._webhook.removed or self._stopping:
            raise _GoneError

    def _may_see(self, alert: Alert) -> bool:
        """As of now: a page may wait for a day."""
        if self._caller.agency:
            self._shares.catch_up()
        return self._shares.right(self._caller, alert.agency, alert.hotlist) >= Right.SEE

    def _resend(self, poster: Poster, position: int) -> None:
        (told,) = self._teller.stretch(position - 1, WITH_UPDATES, 1).told
        self._send(poster, told)

    def _send(self, poster: Poster, told: Told) -> None:
        """Returns once it is delivered, a dead letter, or not to be seen any more."""
        was_dead = told.position in self._webhook.dead
        try:
            reason = self._deliver(poster, told.message.alert)
        except _HiddenError:
            # Given up before, it stays a dead letter: the list may be granted again.
            reason = "the list it is of is not granted any more" if was_dead else ""
        if reason or was_dead:
            self._record(told, reason)
        self._attempts = 0
        self._trouble = ""

    def _record(self, told: Told, reason: str) -> None:
        """That it was given up, for a reason, or delivered after it had been."""

        known: Webhook | None = self._webhook

        def attempt() -> Webhook:
            nonlocal known
            # Read anew only where somebody changed it meanwhile: it may be long.
            webhook, known = known or self._ring.get(Webhook, self._id), None
            assert webhook is not None
            if reason:
                alert_id = told.message.alert.alert_id
                webhook.give_up(alert_id, told.position, self._attempts, reason, now())
            else:
                webhook.sent(told.position, now())
            self._ring.store(webhook)
            return webhook

        self._webhook = self._ring.command(attempt)
        if reason:
            metrics.DEAD_LETTERS.inc()
            _log.warning("an alert is a dead letter", webhook=str(self._id), reason=reason)

    def _deliver(self, poster: Poster, alert: Alert) -> str:
        """Tries until it arrived; else why it did not. _HiddenError once it may not be seen."""
        letter = letter_of(alert)
        refused, pause, away_since = 0, self._patience.first_pause, 0.0
        while True:
            if not self._may_see(alert):
                raise _HiddenError
            attempt = poster.post(letter, int(time.time()))
            metrics.WEBHOOK_ATTEMPTS.labels(attempt.outcome.value).inc()
            if attempt.outcome is Outcome.ARRIVED:
                return ""
            self._attempts += 1
            self._trouble = attempt.reason
            if attempt.outcome is Outcome.REFUSED:
                refused += 1
                if refused >= self._patience.attempts:
                    return attempt.reason
            else:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > self._patience.give_up:
                    return attempt.reason
            # Not all at once, where many wait for one receiver.
            self._nudged.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)
            self._look()

    def _track(self) -> None:
        if self.position > self._tracked:
            self._log.insert_tracking(Tracking(self._name, self.position))
            self._tracked = self.position


class Deliveries:
    """Every webhook's worker. `wakeup` is notified at each alert; `key`: see ring.signing."""

    def __init__(
        self, ring: Ring, wakeup: Wakeup, teller: Teller, key: bytes, patience: Patience
    ) -> None:
        self._ring = ring
        self._wakeup = wakeup
        self._teller = teller
        self._key = key
        self._patience = patience
        self._lock = threading.Lock()
        self._workers: dict[UUID, Worker] = {}

    def secret(self, webhook_id: UUID) -> str:
        """A webhook's secret."""
        return secret_of(self._key, str(webhook_id))

    def webhooks(self) -> list[Webhook]:
        """Those that were not removed, in order of their adding."""
        log, position, found = self._ring.event_log, 0, dict[UUID, None]()
        while page := log.select_notifications(
            position, 5000, None, _TOPICS, inclusive_of_start=False
        ):
            for event in page:
                id_ = event.originator_id
                assert isinstance(id_, UUID)
                if event.topic == Webhook.Added.TOPIC:
                    found[id_] = None
                else:
                    found.pop(id_, None)
            position = page[-1].id
        loaded = (self._ring.get(Webhook, id_) for id_ in found)
        return [webhook for webhook in loaded if webhook]

    def refresh(self) -> None:
        """The webhooks are others, or one has changed: workers begin, look up and end."""
        with self._lock:
            there = {webhook.id: webhook for webhook in self.webhooks()}
            for id_ in self._workers.keys() - there.keys():
                self._workers.pop(id_).stop()
            for id_, webhook in there.items():
                if worker := self._workers.get(id_):
                    worker.nudge()
                else:
                    worker = self._workers[id_] = self._worker(webhook)
                    worker.start()
        self._wakeup.notify()

    def _worker(self, webhook: Webhook) -> Worker:
        secret = self.secret(webhook.id)
        return Worker(self._ring, self._wakeup, self._teller, webhook, secret, self._patience)

    def state(self, webhook_id: UUID) -> State:
        """How a webhook is."""
        worker = self._workers.get(webhook_id)
        return worker.state if worker else State(0, 0, "")

    def stop(self) -> None:
        """Ends every worker; what is under way is sent again after the next start."""
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.stop()
        self._wakeup.notify()
        until = time.monotonic() + _STOP_SECONDS
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))

"""WebhookService: where alerts are sent by HTTP.

Always true here: a secret leaves the server once, in the answer to AddWebhook; a webhook exists for
its own agency, and for callers with every role.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from proto.ring.v1 import webhook_pb2 as pb
from proto.ring.v1 import webhook_pb2_grpc
from proto.ring.v1.events_pb2 import WebhookAdded
from ring.access import Caller
from ring.application import Ring
from ring.delivery import Deliveries
from ring.errors import InvalidRequest, StateForbids
from ring.options import is_loopback
from ring.rpc.caller import caller_of
from ring.rpc.clock import now
from ring.signing import digest_of
from ring.telling import start_position
from ring.values import MOST_TEXT_BYTES
from ring.webhook import Webhook, no_webhook

_T = TypeVar("_T")
_MOST = 64
_LONGEST_URL = 2048


def checked_url(text: str, *, plain_allowed: bool) -> str:
    """An address that may be sent to, or InvalidRequest. `plain_allowed`: http to anywhere."""
    if len(text) > _LONGEST_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidRequest("the URL is too long, or has characters that none has")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a URL") from None
    if url.scheme not in ("https", "http") or not url.hostname or port == 0:
        raise InvalidRequest(f"{text!r} is not a URL: write https://HOST/PATH")
    if url.username is not None or url.password is not None or url.fragment:
        raise InvalidRequest(
            "the URL has a user, a password or a fragment: leave them out; what is sent is signed"
        )
    if url.scheme == "http" and not plain_allowed and not is_loopback(url.hostname):
        raise InvalidRequest("plates go nowhere in the clear: use https")
    return text


class WebhookService(webhook_pb2_grpc.WebhookServiceServicer):
    """The servicer. `plain_allowed`: the server runs --insecure."""

    def __init__(self, ring: Ring, deliveries: Deliveries, *, plain_allowed: bool) -> None:
        self._ring = ring
        self._deliveries = deliveries
        self._plain_allowed = plain_allowed

    async def AddWebhook(  # noqa: N802
        self, request: pb.AddWebhookRequest, context: Any
    ) -> pb.AddWebhookResponse:
        """From now on, or from a position on."""
        caller = caller_of(context)
        url = checked_url(request.url, plain_allowed=self._plain_allowed)
        if request.filter.ByteSize() > MOST_TEXT_BYTES:
            raise InvalidRequest(
                f"the filter is longer than {MOST_TEXT_BYTES // 1024} KiB: name fewer things"
            )
        return await asyncio.to_thread(self._add, caller, url, request)

    def _add(
        self, caller: Caller, url: str, request: pb.AddWebhookRequest
    ) -> pb.AddWebhookResponse:
        after = [request.after] if request.HasField("after") else []
        id_ = uuid4()
        secret = self._deliveries.secret(id_)
        body = WebhookAdded(
            at=now(),
            webhook_id=str(id_),
            url=url,
            filter=request.filter,
            agency=caller.agency,
            by=caller.name,
            after=start_position(self._ring, after, from_beginning=request.from_beginning),
            secret_digest=digest_of(secret),
        )

        def attempt() -> Webhook:
            webhooks = self._deliveries.webhooks()
            # Of its own: what others have is nothing to it.
            if sum(webhook.added.agency == caller.agency for webhook in webhooks) >= _MOST:
                raise StateForbids(f"there are {_MOST} webhooks: remove one first")
            webhook = Webhook.add(id_, body)
            self._ring.store(webhook)
            return webhook

        webhook = self._ring.command(attempt)
        self._deliveries.refresh()
        return pb.AddWebhookResponse(webhook=self._message(webhook), secret=secret)

    async def ListWebhooks(  # noqa: N802
        self, request: pb.ListWebhooksRequest, context: Any
    ) -> pb.ListWebhooksResponse:
        """In order of their adding."""
        caller = caller_of(context)
        webhooks = await asyncio.to_thread(self._deliveries.webhooks)
        return pb.ListWebhooksResponse(
            webhooks=[self._message(webhook) for webhook in webhooks if _is_of(webhook, caller)]
        )

    async def RemoveWebhook(  # noqa: N802
        self, request: pb.RemoveWebhookRequest, context: Any
    ) -> pb.Webhook:
        """It is sent nothing more."""
        caller = caller_of(context)
        webhook, _ = await self._change(
            caller, request.webhook_id, lambda webhook: webhook.remove(caller.name, now())
        )
        return self._message(webhook)

    async def ListDeadLetters(  # noqa: N802
        self, request: pb.ListDeadLettersRequest, context: Any
    ) -> pb.ListDeadLettersResponse:
        """In order of position."""
        caller = caller_of(context)
        webhook = await asyncio.to_thread(self._find, caller, request.webhook_id)
        return pb.ListDeadLettersResponse(
            dead_letters=[
                pb.DeadLetter(
                    alert_id=letter.alert_id,
                    position=self._ring.position(position),
                    at=letter.at,
                    attempts=letter.attempts,
                    reason=letter.reason,
                    resending=position in webhook.resending,
                )
                for position, letter in sorted(webhook.dead.items())
            ]
        )

    async def ResendDeadLetters(  # noqa: N802
        self, request: pb.ResendDeadLettersRequest, context: Any
    ) -> pb.ResendDeadLettersResponse:
        """Before what comes next."""
        caller = caller_of(context)
        _, count = await self._change(
            caller,
            request.webhook_id,
            lambda webhook: webhook.ask_resend(set(request.alert_ids), caller.name, now()),
        )
        return pb.ResendDeadLettersResponse(resending=count)

    async def _change(
        self, caller: Caller, webhook_id: str, change: Callable[[Webhook], _T]
    ) -> tuple[Webhook, _T]:
        def attempt() -> tuple[Webhook, _T]:
            webhook = self._find(caller, webhook_id)
            result = change(webhook)
            self._ring.store(webhook)
            return webhook, result

        answer = await asyncio.to_thread(self._ring.command, attempt)
        await asyncio.to_thread(self._deliveries.refresh)
        return answer

    def _find(self, caller: Caller, webhook_id: str) -> Webhook:
        try:
            id_ = UUID(webhook_id)
        except ValueError:
            raise InvalidRequest(f"the webhook id {webhook_id!r} is not a UUID") from None
        webhook = self._ring.get(Webhook, id_)
        if webhook is None or webhook.removed or not _is_of(webhook, caller):
            raise no_webhook(webhook_id)
        return webhook

    def _message(self, webhook: Webhook) -> pb.Webhook:
        added, state = webhook.added, self._deliveries.state(webhook.id)
        return pb.Webhook(
            webhook_id=str(webhook.id),
            url=added.url,
            filter=added.filter,
            agency=added.agency,
            added_at=added.at,
            added_by=added.by,
            position=self._ring.position(max(state.position, added.after)),
            dead_letters=len(webhook.dead),
            resending=len(webhook.resending),
            attempts=state.attempts,
            trouble=state.trouble,
        )


def _is_of(webhook: Webhook, caller: Caller) -> bool:
    return caller.agency in ("", webhook.added.agency)

"""`ring webhooks`: alerts sent by HTTP to whoever asked for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.failure import CommandError
from ring.cli.options import (
    Agencies,
    Checkpoints,
    Hotlists,
    Json,
    LiveOnly,
    Priorities,
    Server,
    Zones,
)
from ring.cli.output import count, note, print_json, print_line, print_table
from ring.cli.settings import load
from ring.cli.times import positions, show_time

if TYPE_CHECKING:
    from proto.ring.v1.webhook_pb2 import AlertFilter

app = typer.Typer(
    no_args_is_help=True,
    help="Alerts sent by HTTP: signed, tried again, at least once. What a receiver must know is in "
    "docs/alerts.md.",
)

WebhookId = Annotated[
    str, typer.Argument(metavar="WEBHOOK_ID", help="As ring webhooks list shows it.")
]
_SECONDS = 60.0
_FILTERS = (
    *(("hotlists", "list"), ("agencies", "agency"), ("priorities", "priority")),
    *(("checkpoints", "checkpoint"), ("zones", "zone")),
)


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://HOST/PATH")],
    hotlist: Hotlists = None,
    of_agency: Agencies = None,
    priority: Priorities = None,
    checkpoint: Checkpoints = None,
    zone: Zones = None,
    live_only: LiveOnly = False,
    updates: Annotated[
        bool, typer.Option("--updates", help="Acknowledgements and resolutions too.")
    ] = False,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="LOGID:POSITION", help="Alerts after here, not from now."),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Everything kept as well.")
    ] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Send alerts to an address from now on. Its secret is shown once: keep it."""
    from proto.ring.v1.webhook_pb2 import AddWebhookRequest, AlertFilter
    from proto.ring.v1.webhook_pb2_grpc import WebhookServiceStub

    if after and from_beginning:
        raise CommandError("either --from-beginning or --after, not both", 2)
    request = AddWebhookRequest(
        url=url,
        filter=AlertFilter(
            hotlists=hotlist,
            agencies=of_agency,
            priorities=priority,
            checkpoints=checkpoint,
            zones=zone,
            live_only=live_only,
            include_updates=updates,
        ),
        after=positions([after])[0] if after else None,
        from_beginning=from_beginning,
    )
    with connect(server, load()) as channel:
        made = WebhookServiceStub(channel).AddWebhook(request, timeout=_SECONDS)
    if as_json:
        print_json(made)
        return
    print_line(f"webhook {made.webhook.webhook_id}")
    print_line(f"secret  {made.secret}")
    note("the secret is not shown again: the receiver checks signatures with it")


@app.command("list")
def list_webhooks(server: Server = None, as_json: Json = False) -> None:
    """Every webhook: what it is sent, how far it is, what is wrong."""
    from proto.ring.v1.webhook_pb2 import ListWebhooksRequest
    from proto.ring.v1.webhook_pb2_grpc import WebhookServiceStub

    with connect(server, load()) as channel:
        found = WebhookServiceStub(channel).ListWebhooks(ListWebhooksRequest(), timeout=_SECONDS)
    if as_json:
        for webhook in found.webhooks:
            print_json(webhook)
        return
    print_table(
        count(len(found.webhooks), "webhook"),
        ("webhook", "URL", "of", "alerts", "position", "dead", "trouble"),
        (
            (
                w.webhook_id,
                w.url,
                w.agency or "every agency",
                _what(w.filter),
                f"{w.position.position:,}",
                f"{w.dead_letters:,}" + (f" ({w.resending:,} resending)" if w.resending else ""),
                f"{w.trouble} (attempt {w.attempts:,})" if w.attempts else w.trouble,
            )
            for w in found.webhooks
        ),
        right=("position", "dead"),
    )


def _what(asked: AlertFilter) -> str:
    parts = [
        f"{name} {', '.join(value or repr(value) for value in values)}"
        for field, name in _FILTERS
        if (values := getattr(asked, field))
    ]
    parts += ["live only"] if asked.live_only else []
    parts += ["with updates"] if asked.include_updates else []
    return "; ".join(parts) or "all"


@app.command("remove")
def remove(webhook_id: WebhookId, server: Server = None, as_json: Json = False) -> None:
    """Send it nothing more, and forget its dead letters."""
    from proto.ring.v1.webhook_pb2 import RemoveWebhookRequest
    from proto.ring.v1.webhook_pb2_grpc import WebhookServiceStub

    with connect(server, load()) as channel:
        webhook = WebhookServiceStub(channel).RemoveWebhook(
            RemoveWebhookRequest(webhook_id=webhook_id), timeout=_SECONDS
        )
    if as_json:
        print_json(webhook)
    else:
        print_line(
            f"{webhook.webhook_id} is removed; it was at position {webhook.position.position}"
        )


@app.command("dead")
def dead(webhook_id: WebhookId, server: Server = None, as_json: Json = False) -> None:
    """The alerts that could not be delivered, and why."""
    from proto.ring.v1.webhook_pb2 import ListDeadLettersRequest
    from proto.ring.v1.webhook_pb2_grpc import WebhookServiceStub

    settings = load()
    with connect(server, settings) as channel:
        letters = (
            WebhookServiceStub(channel)
            .ListDeadLetters(ListDeadLettersRequest(webhook_id=webhook_id), timeout=_SECONDS)
            .dead_letters
        )
    if as_json:
        for letter in letters:
            print_json(letter)
        return
    print_table(
        count(len(letters), "dead letter"),
        ("given up", "alert", "position", "attempts", "why", ""),
        (
            (
                show_time(letter.at, settings.zone),
                letter.alert_id,
                f"{letter.position.position:,}",
                f"{letter.attempts:,}",
                letter.reason,
                "is sent again" if letter.resending else "",
            )
            for letter in letters
        ),
        right=("position", "attempts"),
        caption=f"times in {settings.time_zone}",
    )


@app.command("resend")
def resend(
    webhook_id: WebhookId,
    alert: Annotated[
        list[str] | None,
        typer.Option("--alert", metavar="ALERT_ID", help="Only this one; may be repeated."),
    ] = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Send its dead letters again, before what comes next."""
    from proto.ring.v1.webhook_pb2 import ResendDeadLettersRequest
    from proto.ring.v1.webhook_pb2_grpc import WebhookServiceStub

    with connect(server, load()) as channel:
        answer = WebhookServiceStub(channel).ResendDeadLetters(
            ResendDeadLettersRequest(webhook_id=webhook_id, alert_ids=alert), timeout=_SECONDS
        )
    if as_json:
        print_json(answer)
    else:
        print_line(f"{count(answer.resending, 'dead letter')} sent again")

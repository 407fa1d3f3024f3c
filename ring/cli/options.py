"""The options that many commands share, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from ring.cli.failure import CommandError

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        help="The ring's server (RING_SERVER, else 127.0.0.1:50051).",
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="For programs: JSON, one object a line where there are many.")
]
Case = Annotated[
    str | None,
    typer.Option("--case", metavar="NUMBER", help="Case number. (RING_CASE without it)"),
]
Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why you look. (RING_REASON without it)"),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="From this time on: 2026-04-01, 2026-04-01T08:30 or with a zone, "
        "2026-04-01T08:30Z. Without one it is in RING_TIME_ZONE.",
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="Before this time; a bare day is taken whole."),
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--checkpoint", metavar="CODE", help="Only here; may be repeated."),
]
Hotlists = Annotated[
    list[str] | None,
    typer.Option("--hotlist", "--list", metavar="NAME", help="Only of this list; may be repeated."),
]
Agencies = Annotated[
    list[str] | None,
    typer.Option(
        "--agency", metavar="NAME", help="Only of lists that this agency owns; may be repeated."
    ),
]
Priorities = Annotated[
    list[str] | None,
    typer.Option(
        "--priority", metavar="TEXT", help="Only entries of this priority; may be repeated."
    ),
]
Zones = Annotated[
    list[str] | None,
    typer.Option("--zone", metavar="NAME", help="Only in this zone; may be repeated."),
]
LiveOnly = Annotated[
    bool, typer.Option("--live-only", help="Neither delayed hits nor those of looking back.")
]
AtLeast = Annotated[
    list[str] | None,
    typer.Option(
        "--at-least",
        metavar="LOGID:POSITION",
        help="Wait until the answer includes everything up to here; may be repeated.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.1, max=1e8, help="How long to wait for the answer."
    ),
]
Direction = Annotated[
    str | None,
    typer.Option("--direction", metavar="WAY", help="Only this way: entry or exit."),
]
Region = Annotated[
    str,
    typer.Option(
        "--region",
        metavar="COUNTRY",
        help="Only plates of this country, e.g. AR.",
        show_default=False,
    ),
]
MinConfidence = Annotated[
    float,
    typer.Option("--min-confidence", min=0.0, max=1.0, help="Only reads at least so sure."),
]
# What the protocol's numbers hold.
MOST = 2**32 - 1
Limit = Annotated[int, typer.Option("--limit", min=0, max=MOST, help="At most so many; 0: 100.")]


def direction_of(text: str | None) -> int:
    """entry or exit as the protocol has it; 0 without. Raises CommandError."""
    if text is None:
        return 0
    try:
        return {"entry": 1, "exit": 2}[text.strip().lower()]
    except KeyError:
        raise CommandError(f"{text!r} is no direction: write entry or exit", 2) from None

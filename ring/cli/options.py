"""The options that many commands share, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

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
    typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for the answer."),
]

"""What the reader says on stderr: plain lines for a person, JSON lines for whatever collects them.

Always true here: one event is one line; no plate is in any of them, for what was read goes to
stdout and to the spool alone. A JSON line has `event`, `level`, `timestamp` (UTC) and `logger`.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

_state = {"json": False}


def configure(mode: Literal["auto", "json", "text"], *, tool: bool = False) -> None:
    """Begins to log. auto: JSON unless stderr is a terminal, or this is a `tool` for a person.

    Warnings are logged; with `json`, what a service is asked to tell (starts, connections) too.
    """
    as_json = mode == "json" or (mode == "auto" and not tool and not sys.stderr.isatty())
    _state["json"] = as_json
    handler: logging.Handler = _Plain()
    if as_json:
        handler = logging.StreamHandler()
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.ExtraAdder(),
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.processors.format_exc_info,
                ],
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
            )
        )
    level = logging.INFO if mode == "json" else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)


def say(text: str, *, error: bool = False) -> None:
    """A line for whoever called the command."""
    if _state["json"]:
        logging.getLogger("lpr").log(logging.ERROR if error else logging.WARNING, "%s", text)
    else:
        print(f"lpr: {text}", file=sys.stderr, flush=True)


class _Plain(logging.Handler):
    """Each record as a line, as a command says it."""

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        print(f"lpr: {text}", file=sys.stderr, flush=True)

"""`--as AGENCY` on every command: on whose behalf it is given.

Always true here: what is given with the command goes before RING_AGENCY, and holds for that one
command alone.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ring.cli.failure import CommandError

if TYPE_CHECKING:
    import grpc

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="AGENCY",
        help="On whose behalf. (RING_AGENCY without it, else every role)",
        show_default=False,
    ),
]
# The server's rule for agencies is stricter; this is what can stand in a call's metadata.
_SENDABLE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_given: ContextVar[str | None] = ContextVar("given", default=None)


def act_in(app: typer.Typer) -> None:
    """Gives every command of an application, and of those within it, the option.

    A group that is a command by itself has it too: `ring alerts --as AGENCY`. What is given with
    it holds for the command after it, unless that has its own.
    """
    group = app.registered_callback
    by_itself = group is not None and bool(group.invoke_without_command)
    if group is not None and group.callback is not None and by_itself:
        group.callback = _with_option(group.callback)
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _with_option(command.callback, after_another=by_itself)
    for within in app.registered_groups:
        if within.typer_instance is not None:
            act_in(within.typer_instance)


def _with_option(
    function: Callable[..., Any], *, after_another: bool = False
) -> Callable[..., Any]:
    @wraps(function)
    def acting(*args: Any, on_behalf_of: str | None, **kwargs: Any) -> Any:
        if on_behalf_of is not None or not after_another:
            _given.set(on_behalf_of)
        return function(*args, **kwargs)

    # Typer reads a command's options from its signature.
    signature = inspect.signature(function, eval_str=True)
    option = inspect.Parameter(
        "on_behalf_of", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=As
    )
    every = [*signature.parameters.values(), option]
    acting.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]
    acting.__annotations__ = {p.name: p.annotation for p in every}
    return acting


def agency(setting: str) -> str:
    """On whose behalf: as given, else the setting; "" for nobody's. Raises CommandError."""
    given = _given.get()
    chosen = setting if given is None else given
    if chosen and not _SENDABLE.fullmatch(chosen):
        raise CommandError(f"{chosen!r} is no name of an agency (--as, RING_AGENCY)", 2)
    if given == "":
        raise CommandError("--as needs the name of an agency; leave it out for every role", 2)
    return chosen


def acting(channel: grpc.Channel, name: str) -> grpc.Channel:
    """The channel, every call of which says on whose behalf it is made."""
    import grpc

    class _Act(
        grpc.UnaryUnaryClientInterceptor,
        grpc.UnaryStreamClientInterceptor,
        grpc.StreamUnaryClientInterceptor,
        grpc.StreamStreamClientInterceptor,
    ):
        def _go_on(self, go_on: Callable[..., Any], details: Any, request: Any) -> Any:
            metadata = [*(details.metadata or ()), ("ring-agency", name)]
            return go_on(details._replace(metadata=metadata), request)

        intercept_unary_unary: Any = _go_on
        intercept_unary_stream: Any = _go_on
        intercept_stream_unary: Any = _go_on
        intercept_stream_stream: Any = _go_on

    return grpc.intercept_channel(channel, _Act())

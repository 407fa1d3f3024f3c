"""How a command fails: one line on stderr that says what to do next, and an exit code.

Exit codes: 0 done, 1 failed (or done in part: the line says which), 2 called wrongly,
130 interrupted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc


class CommandError(Exception):
    """The command can't go on. Its text is the line that the user sees."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain(error: grpc.RpcError, server: str) -> CommandError:
    """What a failed call means to the person at the terminal, and what to do about it."""
    import grpc

    code: grpc.StatusCode = error.code()
    said = " ".join(str(error.details() or "").split())
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            if is_unreachable(error):
                text = (
                    f"no ring server answers at {server}: start one with 'python server.py', "
                    "or name another with --server HOST:PORT"
                )
            else:
                said = said.removesuffix(": try again")
                text = f"the server at {server} is not available just now ({said}): try again"
        case grpc.StatusCode.UNIMPLEMENTED:
            text = "not available in this version of the server" + (f" ({said})" if said else "")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            # What the library says of a time that is up tells nothing.
            why = "" if "deadline exceeded" in said.lower() else f" ({said})"
            text = f"no whole answer in time{why}: try again, or give it longer with --timeout"
        case grpc.StatusCode.UNAUTHENTICATED:
            text = f"the server does not know you: {said}"
        case grpc.StatusCode.PERMISSION_DENIED:
            text = f"not allowed: {said}"
        case (
            grpc.StatusCode.INVALID_ARGUMENT
            | grpc.StatusCode.NOT_FOUND
            | grpc.StatusCode.ALREADY_EXISTS
            | grpc.StatusCode.FAILED_PRECONDITION
            | grpc.StatusCode.OUT_OF_RANGE
            | grpc.StatusCode.ABORTED
            | grpc.StatusCode.RESOURCE_EXHAUSTED
        ):
            text = said or code.name.replace("_", " ").lower()
        case _:
            text = f"the server failed ({code.name}): {said or 'its log says why'}"
    return CommandError(text)


def is_unreachable(error: grpc.RpcError) -> bool:
    """Whether no connection was made at all (rather than one that broke)."""
    said = str(error.details() or "").lower()
    return any(
        sign in said
        for sign in ("failed to connect", "connection refused", "dns resolution", "name resolution")
    )

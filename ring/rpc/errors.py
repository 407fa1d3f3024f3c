"""The only place where the ring's errors become gRPC status codes.

Always true here: a caller is told what was wrong and what to do; what we did not foresee is
logged, and told as INTERNAL without its details.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from eventsourcing.persistence import PersistenceError

from ring import errors

_log = structlog.get_logger(__name__)

_CODES: dict[type[errors.RingError], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    errors.StateForbids: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TakenOver: grpc.StatusCode.ABORTED,
    errors.BeyondLog: grpc.StatusCode.OUT_OF_RANGE,
    errors.TooSlow: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotInTime: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.NotBuilt: grpc.StatusCode.UNIMPLEMENTED,
}


def code_of(error: errors.RingError) -> grpc.StatusCode:
    """The status code of an error."""
    return next(
        (_CODES[cls] for cls in type(error).__mro__ if cls in _CODES), grpc.StatusCode.INTERNAL
    )


async def _end(context: Any, method: str, error: BaseException) -> NoReturn:
    if isinstance(error, errors.RingError):
        await context.abort(code_of(error), str(error))
    if isinstance(error, PersistenceError):
        _log.error("the event log failed a call", method=method, error=str(error))
        await context.abort(
            grpc.StatusCode.UNAVAILABLE,
            f"the event log can't be used just now ({' '.join(str(error).split())}): try again",
        )
    _log.error("a call failed", method=method, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "internal error: see the server's log")
    raise AssertionError


# What is not ours to map: a call that was cancelled or already aborted.
_PASS = (asyncio.CancelledError, grpc.aio.AbortError, grpc.RpcError)


def _wrap(handler: Callable[..., Any], method: str, *, streams: bool) -> Callable[..., Any]:
    async def unary(request: Any, context: Any) -> Any:
        try:
            return await handler(request, context)
        except _PASS:
            raise
        except Exception as error:
            await _end(context, method, error)

    async def streaming(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for response in handler(request, context):
                yield response
        except _PASS:
            raise
        except Exception as error:
            await _end(context, method, error)

    return streaming if streams else unary


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Maps what handlers raise."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the handler that was found."""
        handler = await continuation(details)
        if handler is None:
            return None
        method = str(details.method)
        kind = {
            (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
            (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
            (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
            (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
        }[bool(handler.request_streaming), bool(handler.response_streaming)]
        name, make = kind
        behaviour = getattr(handler, name)
        # A coroutine that writes through its context is wrapped like one that returns.
        streams = bool(handler.response_streaming) and not inspect.iscoroutinefunction(behaviour)
        return make(
            _wrap(behaviour, method, streams=streams),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

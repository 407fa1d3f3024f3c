"""InvestigationService on the public address: checked here, answered by the read process.

Always true here: no investigation call reaches the read side without a purpose; requests and
answers pass as the bytes they are.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import Purpose
from ring.errors import InvalidRequest, NotFound, Unavailable
from ring.pictures import Pictures

SERVICE = "ring.v1.InvestigationService"
_DESCRIPTOR = pb.DESCRIPTOR.services_by_name["InvestigationService"]
_LOCAL = {"GetPicture"}


def check_purpose(purpose: Purpose) -> None:
    """InvalidRequest where a look-up says not why it is made."""
    if not purpose.case_number.strip() or not purpose.reason.strip():
        raise InvalidRequest(
            "a look-up needs a purpose: give the case number and the reason "
            "(the ring command: --case and --reason)"
        )


class Forwarder:
    """Handlers for every method of the service, over a channel to the read process."""

    def __init__(self, channel: grpc.aio.Channel, pictures: Pictures) -> None:
        self._channel = channel
        self._pictures = pictures

    def handler(self) -> grpc.GenericRpcHandler:
        """To be added to the server."""
        handlers: dict[str, Any] = {}
        for method in _DESCRIPTOR.methods:
            if method.name in _LOCAL:
                continue
            request_class = getattr(pb, method.input_type.name)
            if method.server_streaming:
                handlers[method.name] = grpc.unary_stream_rpc_method_handler(
                    self._stream(method.name, request_class)
                )
            else:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                    self._unary(method.name, request_class)
                )
        handlers["GetPicture"] = grpc.unary_unary_rpc_method_handler(
            self._get_picture,
            request_deserializer=pb.GetPictureRequest.FromString,
            response_serializer=pb.GetPictureResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _unary(self, name: str, request_class: Any) -> Callable[..., Any]:
        call: Any = self._channel.unary_unary(f"/{SERVICE}/{name}")

        async def forward(raw: bytes, context: Any) -> bytes:
            _check(raw, request_class)
            try:
                answer: bytes = await call(raw, timeout=context.time_remaining())
            except grpc.aio.AioRpcError as error:
                await pass_on(error, context)
                raise
            return answer

        return forward

    def _stream(self, name: str, request_class: Any) -> Callable[..., Any]:
        call: Any = self._channel.unary_stream(f"/{SERVICE}/{name}")

        async def forward(raw: bytes, context: Any) -> AsyncIterator[bytes]:
            _check(raw, request_class)
            try:
                async for part in call(raw, timeout=context.time_remaining()):
                    yield part
            except grpc.aio.AioRpcError as error:
                await pass_on(error, context)

        return forward

    async def _get_picture(
        self, request: pb.GetPictureRequest, context: Any
    ) -> pb.GetPictureResponse:
        check_purpose(request.purpose)
        if len(request.sha256) != 32:
            raise InvalidRequest("a picture is named by its SHA-256: 32 bytes")
        jpeg = await asyncio.to_thread(self._pictures.load, request.sha256)
        if jpeg is None:
            raise NotFound("there is no such picture: it never came, or its time is up")
        return pb.GetPictureResponse(jpeg=jpeg)


def _check(raw: bytes, request_class: Any) -> None:
    try:
        request = request_class.FromString(raw)
    except DecodeError:
        raise InvalidRequest(f"the request is not a {request_class.DESCRIPTOR.name}") from None
    if "purpose" in request_class.DESCRIPTOR.fields_by_name:
        check_purpose(request.purpose)


async def pass_on(error: grpc.aio.AioRpcError, context: Any) -> None:
    """Ends a call as the read process ended it; Unavailable where that is away."""
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        raise Unavailable(
            "the read side does not answer just now: reads and alerts go on, ask again in a moment"
        ) from None
    await context.abort(error.code(), error.details() or "")

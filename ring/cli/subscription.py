"""One subscription that outlives its streams: it comes back after the last position.

Every message is handled before its position is kept, so that a stop at any moment loses nothing.
SIGTERM and Ctrl-C end it between two messages.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ring.cli.bookmark import Bookmark
from ring.cli.failure import CommandError, explain
from ring.cli.output import note

if TYPE_CHECKING:
    import grpc

    from proto.ring.v1.alert_pb2 import SubscribeRequest, SubscribeResponse

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


class Subscription:
    """Follows the alerts that a request asks for.

    handle: deals with one message, and says whether to go on.
    reconnect: come back where the server goes away or ends a stream that could not keep up.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        target: str,
        request: SubscribeRequest,
        bookmark: Bookmark,
        handle: Callable[[SubscribeResponse], bool],
        *,
        reconnect: bool,
    ) -> None:
        from proto.ring.v1.alert_pb2_grpc import AlertServiceStub

        self._stub = AlertServiceStub(channel)
        self._target = target
        self._request = request
        self._bookmark = bookmark
        self._handle = handle
        self._reconnect = reconnect
        self._heard = False
        self._stop = threading.Event()
        self._call: grpc.Call | None = None

    def follow(self) -> None:
        """Until `handle` has enough or a signal comes. Raises CommandError where it can't go on."""
        import grpc

        pause = 0.0
        with self._stopped_by_signals():
            while not self._stop.is_set():
                try:
                    for message in self._open():
                        if pause:
                            note(f"{self._target} is back; going on after the last position")
                        pause = 0.0
                        self._heard = True
                        if not self._take(message) or self._stop.is_set():
                            return
                    reason = "ended the stream"
                except grpc.RpcError as error:
                    if self._stop.is_set():
                        return
                    if not self._comes_back_after(error):
                        raise self._failure(error) from error
                    reason = "went away"
                    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                        reason = "could not wait for us"
                if not self._reconnect:
                    raise CommandError(f"the server at {self._target} {reason}")
                if not pause:
                    note(f"the server at {self._target} {reason}; coming back")
                pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
                self._stop.wait(pause)

    def _open(self) -> Iterator[SubscribeResponse]:
        from proto.ring.v1.alert_pb2 import SubscribeRequest

        request = SubscribeRequest()
        request.CopyFrom(self._request)
        if self._bookmark:
            request.from_beginning = False
            del request.after[:]
            request.after.extend(self._bookmark.positions())
        call = self._stub.Subscribe(request)
        self._call = call
        try:
            yield from call
        finally:
            call.cancel()

    def _take(self, message: SubscribeResponse) -> bool:
        goes_on = self._handle(message)
        match message.WhichOneof("message"):
            case "alert":
                self._bookmark.move(message.alert.position)
            case "progress":
                self._bookmark.move(message.progress)
        return goes_on

    def _comes_back_after(self, error: grpc.RpcError) -> bool:
        """Whether the same question can be asked again later.

        Before the first message a server that is not there is more likely a wrong address.
        """
        import grpc

        passing = {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.ABORTED,
        }
        return self._reconnect and self._heard and error.code() in passing

    def _failure(self, error: grpc.RpcError) -> CommandError:
        import grpc

        failure = explain(error, self._target)
        if error.code() not in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE}:
            return failure
        way = "say --from-beginning (each alert that is kept, again), or no position (from now on)"
        if self._bookmark.path is not None:
            way = f"delete {self._bookmark.path}, and {way}"
        return CommandError(f"{failure}; to start anew, {way}")

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: object) -> None:
            self._stop.set()
            if self._call is not None:
                # In a thread: the interrupted code may hold the call's own lock.
                threading.Thread(target=self._call.cancel, daemon=True).start()

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

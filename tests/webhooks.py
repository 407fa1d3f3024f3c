"""A real HTTP server that takes webhooks' posts, and a client that asks for webhooks and has a list
of its own."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from google.protobuf.json_format import ParseDict

from proto.ring.v1 import webhook_pb2, webhook_pb2_grpc
from proto.ring.v1.alert_pb2 import Alert, HotlistEntry
from tests.conftest import Server
from tests.integration.test_alerts import Subscriber, import_entries, send
from tests.vendor import read


def until(condition: Callable[[], Any]) -> Any:
    """What a condition gives once it holds."""
    deadline = time.monotonic() + 60
    while not (given := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)
    return given


@dataclass
class Post:
    """What came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]

    @property
    def alert(self) -> Alert:
        return ParseDict(json.loads(self.body)["alert"], Alert())


@dataclass
class Receiver:
    """Keeps what is posted. `answer`: the status for a post, which it may take its time for."""

    answer: Callable[[Post], int] = lambda _: 204
    posts: list[Post] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the server was killed while it sent
                post = Post(self.path, dict(self.headers), body)
                status = receiver.answer(post)
                receiver.posts.append(post)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """The server was killed meanwhile."""

        self.server = Listener(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def keys(self) -> list[str]:
        return [post.key for post in list(self.posts)]

    def arrived(self, count: int) -> list[Post]:
        """The first posts with keys of their own, in order, once there are so many."""
        until(lambda: len(set(self.keys)) >= count)
        return list({post.key: post for post in reversed(list(self.posts))}.values())[::-1]


class Hooks:
    """The service, and a list of its own with one plate."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._channel = server.channel()
        self.stub = webhook_pb2_grpc.WebhookServiceStub(self._channel)
        self.plate = f"T{uuid4().hex[:8].upper()}"
        self.list = f"list of {self.plate}"
        import_entries(server, self.list, HotlistEntry(plate=self.plate))
        self._added: list[str] = []

    def add(self, url: str, **asked: Any) -> webhook_pb2.AddWebhookResponse:
        asked = {"hotlists": [self.list]} | asked
        request = webhook_pb2.AddWebhookRequest(url=url, filter=asked)
        made = self.stub.AddWebhook(request, timeout=60)
        self._added.append(made.webhook.webhook_id)
        return made

    def hits(self, count: int) -> None:
        send(self._server, *(read(number, self.plate) for number in range(1, count + 1)))

    def told(self, count: int) -> list[Alert]:
        """What a subscriber of the list is told."""
        subscriber = Subscriber(self._server, from_beginning=True, hotlists=[self.list])
        alerts = list(subscriber.wait(count))
        subscriber.stop()
        return alerts

    def state(self, webhook_id: str) -> webhook_pb2.Webhook:
        found = self.stub.ListWebhooks(webhook_pb2.ListWebhooksRequest(), timeout=60).webhooks
        return next(webhook for webhook in found if webhook.webhook_id == webhook_id)

    def dead(self, webhook_id: str) -> list[webhook_pb2.DeadLetter]:
        request = webhook_pb2.ListDeadLettersRequest(webhook_id=webhook_id)
        return list(self.stub.ListDeadLetters(request, timeout=60).dead_letters)

    def resend(self, webhook_id: str, *alerts: str) -> int:
        request = webhook_pb2.ResendDeadLettersRequest(webhook_id=webhook_id, alert_ids=alerts)
        return self.stub.ResendDeadLetters(request, timeout=60).resending

    def close(self) -> None:
        for id_ in self._added:
            self.stub.RemoveWebhook(webhook_pb2.RemoveWebhookRequest(webhook_id=id_), timeout=60)
        self._channel.close()


def is_signed(post: Post, secret: str) -> bool:
    """As a receiver checks it."""
    parts = dict(part.split("=") for part in post.headers["Ring-Signature"].split(","))
    assert abs(int(parts["t"]) - time.time()) < 300
    signed = hmac.new(secret.encode(), parts["t"].encode() + b"." + post.body, hashlib.sha256)
    return hmac.compare_digest(parts["v1"], signed.hexdigest())

"""One attempt to deliver one alert by HTTP.

Always true here: nothing is followed, neither a redirect nor a proxy of the environment; no more of
an answer is read than its head; it ends in time, however slowly the other side speaks.
"""

import json
import socket
import threading
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

import urllib3
import urllib3.connection
from google.protobuf.json_format import MessageToDict

from proto.ring.v1.alert_pb2 import Alert, AlertState
from ring.signing import signature

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
# What whoever stands before a receiver says while that is away.
_AWAY = {429, 502, 503, 504}


class Outcome(Enum):
    """What an attempt came to."""

    ARRIVED = "arrived"
    # Answered, but not with 200 to 299; or nothing came in time, when all was sent.
    REFUSED = "refused"
    # Nobody was there.
    AWAY = "away"


class Attempt(NamedTuple):
    """An attempt, and why it failed."""

    outcome: Outcome
    reason: str = ""


class Letter(NamedTuple):
    """An alert as it is sent: each time the same."""

    key: str
    body: bytes


def letter_of(alert: Alert) -> Letter:
    """What is sent of an alert as it is after one of its events."""
    key = alert.alert_id
    if alert.state != AlertState.ALERT_STATE_RAISED:
        key += "/" + AlertState.Name(alert.state).removeprefix("ALERT_STATE_").lower()
    fields = MessageToDict(alert, preserving_proto_field_name=True)
    return Letter(key, json.dumps({"alert": fields}, ensure_ascii=False).encode())


class Poster:
    """Sends to one address. For one thread. `seconds`: what an attempt may take, once connected."""

    def __init__(
        self, url: str, webhook_id: str, secret: str, seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._url = url
        self._webhook_id = webhook_id
        self._secret = secret
        self._seconds = seconds
        self._line: socket.socket | None = None
        self._http = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds),
        )
        self._http.pool_classes_by_scheme = self._pool_classes()

    def post(self, letter: Letter, seconds: int) -> Attempt:
        """One attempt. `seconds`: now, since 1970."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "digital-ring",
            "Ring-Webhook": self._webhook_id,
            "Idempotency-Key": letter.key,
            "Ring-Signature": signature(self._secret, seconds, letter.body),
        }
        in_vain = Attempt(Outcome.REFUSED, f"no answer within {self._seconds:g} s")
        # A timeout of the library's is for one piece of an answer, not for all of it.
        late = threading.Event()
        cut = threading.Timer(self._seconds + _CONNECT_SECONDS, self._cut, (late,))
        cut.daemon = True
        cut.start()
        try:
            response = self._http.request(
                "POST",
                self._url,
                body=letter.body,
                headers=headers,
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
            return Attempt(Outcome.AWAY, "nobody answers at that address")
        except urllib3.exceptions.SSLError:
            return Attempt(Outcome.AWAY, "the certificate there is not one that we trust")
        except urllib3.exceptions.ReadTimeoutError:
            return in_vain
        except (urllib3.exceptions.HTTPError, OSError):
            if late.is_set():
                return in_vain
            return Attempt(Outcome.REFUSED, "the connection broke off before an answer")
        finally:
            cut.cancel()
        status = response.status
        if response.headers.get("Content-Length") == "0" or status == 204:
            response.release_conn()
        else:
            response.close()
        if late.is_set():
            # Cut off within its head, which then looks like a whole one.
            return in_vain
        if 200 <= status < 300:
            return Attempt(Outcome.ARRIVED)
        reason = f"answered {status}"
        if 300 <= status < 400:
            reason += ": redirects are not followed"
        return Attempt(Outcome.AWAY if status in _AWAY else Outcome.REFUSED, reason)

    def _cut(self, late: threading.Event) -> None:
        late.set()
        if self._line is not None:
            with suppress(OSError):
                # The plain socket's, whatever speaks over it.
                socket.socket.shutdown(self._line, socket.SHUT_RDWR)

    def _pool_classes(self) -> dict[str, Any]:
        poster = self

        class Plain(urllib3.connection.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                poster._line = self.sock

        class Secure(urllib3.connection.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                poster._line = self.sock

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        return {"http": PlainPool, "https": SecurePool}

    def close(self) -> None:
        """Ends the connection."""
        self._http.clear()

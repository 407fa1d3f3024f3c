"""One attempt to deliver one alert by HTTP.

Always true here: nothing is followed, neither a redirect nor a proxy of the environment; no more of
an answer is read than its head.
"""

import json
from enum import Enum
from typing import NamedTuple

import urllib3
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
    """Sends to one address. For one thread."""

    def __init__(self, url: str, webhook_id: str, secret: str) -> None:
        self._url = url
        self._webhook_id = webhook_id
        self._secret = secret
        self._http = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS),
        )

    def post(self, letter: Letter, seconds: int) -> Attempt:
        """One attempt. `seconds`: now, since 1970."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "digital-ring",
            "Ring-Webhook": self._webhook_id,
            "Idempotency-Key": letter.key,
            "Ring-Signature": signature(self._secret, seconds, letter.body),
        }
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
            return Attempt(Outcome.REFUSED, f"no answer within {_ANSWER_SECONDS:.0f} s")
        except (urllib3.exceptions.HTTPError, OSError):
            return Attempt(Outcome.REFUSED, "the connection broke off before an answer")
        status = response.status
        if response.headers.get("Content-Length") == "0" or status == 204:
            response.release_conn()
        else:
            response.close()
        if 200 <= status < 300:
            return Attempt(Outcome.ARRIVED)
        reason = f"answered {status}"
        if 300 <= status < 400:
            reason += ": redirects are not followed"
        return Attempt(Outcome.AWAY if status in _AWAY else Outcome.REFUSED, reason)

    def close(self) -> None:
        """Ends the connection."""
        self._http.clear()

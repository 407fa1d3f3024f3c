"""Page tokens: where a page ended, of which question, as of which positions.

Always true here: a token is good for no other question than its own, and pins the positions that
the first page was answered at; so pages neither repeat nor skip while events come in. One that was
cut or altered on its way is told by its digest.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projections.clickhouse import Client
from ring.errors import InvalidRequest

Place = Sequence[str | int]


def digest(question: Any) -> str:
    """What tells two questions apart; of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(question).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Turn:
    """Where a page begins: after what, and as of which positions. Empty: the first page."""

    question: str
    after: Place = ()
    pins: Mapping[str, int] | None = None

    @classmethod
    def of(cls, token: str, question: str) -> "Turn":
        """Reads a token. InvalidRequest on one that was not given for this question."""
        if not token:
            return cls(question)
        bad = InvalidRequest(
            "page_token is not one that this question gave: send next_page_token of the page "
            "before, with the same question"
        )
        try:
            value = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        except (ValueError, binascii.Error, RecursionError):
            raise bad from None
        match value:
            case [2, list(after), dict(pins), str(signed)] if (
                signed == digest([question, after, pins])
                and all(type(part) in (str, int) for part in after)
                and all(type(p) is int and 0 <= p < 1 << 63 for p in pins.values())
            ):
                return cls(question, after, pins)
        raise bad

    def pinned(self, client: Client) -> Mapping[str, int]:
        """The positions that count. InvalidRequest on a token of a log that is not here."""
        here = {str(log): int(position) for log, position in client.rows("queries/positions")}
        pins = here if self.pins is None else self.pins
        if not pins.keys() <= here.keys():
            raise InvalidRequest(
                "page_token is of a log that is no longer followed: ask for the first page again"
            )
        return pins

    def token(self, after: Place, pins: Mapping[str, int]) -> str:
        """For the page after this one."""
        place = [list(after), dict(pins)]
        text = json.dumps([2, *place, digest([self.question, *place])], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode()

"""Which plates match a pattern, page by page.

Always true here: a page token pins the positions that the first page was answered at, so pages
neither repeat nor skip while reads arrive; it holds a digest of its question and is good for no
other.

A fuzzy search names beforehand what the OCR could have read for the plate, from the model of
ring/confusion.py, looks those up, and ranks what it finds by the reads' own posteriors where they
have them, else by the model.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from projections.clickhouse import Client, Row
from projections.likeness import Likeness, from_posteriors, likeness_of
from projections.requests import EARLIEST, LATEST, Filter, Span, filter_of, span_of
from proto.ring.v1.investigation_pb2 import (
    PlateSummary,
    SearchPlatesRequest,
    SearchPlatesResponse,
)
from ring.errors import InvalidRequest
from ring.store import EventLog
from ring.values import from_micros, normalise_plate

_DEFAULT_SIZE, _MOST = 100, 1000
_LONGEST_PATTERN = 64
_EVERYTHING = Span(EARLIEST, LATEST)
_LIKE = {"?": "_", "*": "%", "%": r"\%", "_": r"\_", "\\": r"\\"}


@dataclass(frozen=True)
class Page:
    """One page of a search, checked."""

    like: str
    likeness: Likeness | None
    span: Span
    asked: Filter
    size: int
    question: str
    after: str
    pins: Mapping[str, int] | None


def page_of(request: SearchPlatesRequest) -> Page:
    """Reads a request. InvalidRequest where a pattern, a range or a token is none."""
    pattern = normalise_plate(request.pattern)
    if not pattern:
        raise InvalidRequest(
            "a pattern is missing: a plate, where ? stands for one character and "
            "* for any run of them"
        )
    if len(pattern) > _LONGEST_PATTERN:
        raise InvalidRequest(f"the pattern is longer than {_LONGEST_PATTERN} characters")
    span = span_of(request.range)
    asked = filter_of(
        checkpoints=request.checkpoints,
        direction=request.direction,
        region=request.region,
        min_confidence=request.min_confidence,
    )
    question = hashlib.sha256(
        json.dumps([pattern, request.fuzzy, span.start, span.end, astuple(asked)]).encode()
    ).hexdigest()[:32]
    likeness = likeness_of(pattern) if request.fuzzy else None
    after, pins = "", None
    if request.page_token:
        after, pins = _token_of(request.page_token, question)
    size = min(request.page_size or _DEFAULT_SIZE, _MOST)
    return Page(like_of(pattern), likeness, span, asked, size, question, after, pins)


def like_of(pattern: str) -> str:
    """A pattern as LIKE has it; all but ? and * stands for itself."""
    return "".join(_LIKE.get(character, character) for character in pattern)


def search(client: Client, log: EventLog, page: Page) -> SearchPlatesResponse:
    """Answers a page, in order of plate. InvalidRequest on a token of a log that is not here."""
    here = {str(log): int(position) for log, position in client.rows("queries/positions")}
    pins = here if page.pins is None else page.pins
    if not pins.keys() <= here.keys():
        raise InvalidRequest(
            "page_token is of a log that is no longer followed: ask for the first page again"
        )
    if not pins:
        return SearchPlatesResponse()
    asked: dict[str, Any] = {
        "pattern": page.like,
        "after": page.after,
        "logs": list(pins),
        "pins": list(pins.values()),
        "rows": page.size + 1,
        "fuzzy": False,
        "candidates": [],
    }
    if page.likeness:
        scores = page.likeness.scores(client, list(pins), list(pins.values()))
        asked |= {
            "pattern": "%",
            "after": "",
            "fuzzy": True,
            "candidates": list(scores),
            "rows": len(scores),
        }
        rows = list(_rows(client, page, asked))
        scores = {row[0]: scores[row[0]] for row in rows}
        if not page.likeness.is_pattern and log.log_id in pins:
            plate = next(iter(page.likeness.likely))
            scores = from_posteriors(client, log, plate, scores, pins[log.log_id])
        rows.sort(key=lambda row: (-scores[row[0]], row[0]))
        # The plates of pages before come first again: what is read is what was asked at first.
        done = [n for n, row in enumerate(rows, 1) if row[0] == page.after]
        rows = rows[done[0] if done else 0 :]
    else:
        scores = {}
        rows = list(_rows(client, page, asked))
    summaries = [
        PlateSummary(
            plate=plate,
            reads=reads,
            first_seen=from_micros(first),
            last_seen=from_micros(last),
            score=scores.get(plate, 1.0),
            region=region,
        )
        for plate, reads, first, last, region in rows[: page.size]
    ]
    token = ""
    if len(rows) > page.size:
        token = _token(summaries[-1].plate, pins, page.question)
    return SearchPlatesResponse(plates=summaries, next_page_token=token)


def _rows(client: Client, page: Page, asked: dict[str, Any]) -> Sequence[Row]:
    if page.span == _EVERYTHING and page.asked == Filter():
        return client.rows("queries/search", **asked)
    return client.rows(
        "queries/search_filtered",
        **asked,
        **page.asked.parameters,
        country=page.asked.country,
        start=page.span.start,
        end=page.span.end,
    )


def _token(after: str, pins: Mapping[str, int], question: str) -> str:
    text = json.dumps([1, after, dict(pins), question], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _token_of(token: str, question: str) -> tuple[str, dict[str, int]]:
    bad = InvalidRequest(
        "page_token is not one that this search gave: send next_page_token of the page before, "
        "with the same question"
    )
    try:
        value = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise bad from None
    match value:
        case [1, str(after), dict(pins), str(asked)] if asked == question and all(
            isinstance(p, int) and 0 <= p < 1 << 63 for p in pins.values()
        ):
            return after, pins
    raise bad

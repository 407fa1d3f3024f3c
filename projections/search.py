"""Which plates match a pattern, page by page.

Always true here: a page token pins the positions that the first page was answered at, so pages
neither repeat nor skip while reads arrive; it holds a digest of its question and is good for no
other.

A fuzzy search names beforehand what the OCR could have read for the plate, from the model of
ring/confusion.py, looks those up, and ranks what it finds by the reads' own posteriors where they
have them, else by the model.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from projections.clickhouse import Client, Row
from projections.likeness import Likeness, from_posteriors, least_sure_of, likeness_of
from projections.paging import Turn, digest
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
_LONGEST_TEXT, _LONGEST_PLATE = 64, 12
_PATTERN = re.compile(r"[A-Z0-9?*]+")
_RUN = re.compile(r"[?*]*\*[?*]*")
_EVERYTHING = Span(EARLIEST, LATEST)
_LIKE = {"?": "_", "*": "%", "%": r"\%", "_": r"\_", "\\": r"\\"}


@dataclass(frozen=True)
class Page:
    """One page of a search, checked."""

    like: str
    bounds: Mapping[str, Any]
    likeness: Likeness | None
    span: Span
    asked: Filter
    size: int
    turn: Turn

    @property
    def is_unfiltered(self) -> bool:
        """Whether every read counts."""
        return self.span == _EVERYTHING and self.asked == Filter()

    @property
    def after(self) -> str:
        """The last plate of the page before."""
        return str(self.turn.after[0]) if self.turn.after else ""


def page_of(request: SearchPlatesRequest) -> Page:
    """Reads a request. InvalidRequest where a pattern, a range or a token is none."""
    pattern = pattern_of(request.pattern)
    span = span_of(request.range)
    asked = filter_of(
        checkpoints=request.checkpoints,
        direction=request.direction,
        region=request.region,
        min_confidence=request.min_confidence,
    )
    question = digest([pattern, request.fuzzy, span.start, span.end, astuple(asked)])
    likeness = likeness_of(pattern) if request.fuzzy else None
    turn = Turn.of(request.page_token, question)
    size = min(request.page_size or _DEFAULT_SIZE, _MOST)
    return Page(like_of(pattern), _bounds_of(pattern), likeness, span, asked, size, turn)


def pattern_of(text: str) -> str:
    """A normalised pattern, written the one way; InvalidRequest where no plate can match it."""
    pattern = normalise_plate(text)
    if not pattern:
        raise InvalidRequest(
            "a pattern is missing: a plate, where ? stands for one character and "
            "* for any run of them"
        )
    if len(pattern) <= _LONGEST_TEXT:
        # Wildcards side by side: each further * would double the ways in which a plate can match.
        pattern = _RUN.sub(lambda run: "?" * run[0].count("?") + "*", pattern)
        if _PATTERN.fullmatch(pattern) and len(pattern.replace("*", "")) <= _LONGEST_PLATE:
            return pattern
    raise InvalidRequest(
        f"{_shortened(text)!r} matches no plate: a pattern has letters A-Z and digits, ? for any "
        f"one character and * for any run of them, at most {_LONGEST_PLATE} without the *"
    )


def like_of(pattern: str) -> str:
    """A pattern as LIKE has it; all but ? and * stands for itself."""
    return "".join(_LIKE.get(character, character) for character in pattern)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _bounds_of(pattern: str) -> dict[str, Any]:
    """What is sure of every plate that a pattern matches."""
    *inner, ending = re.split(r"[?*]+", pattern)
    least = len(pattern.replace("*", ""))
    return {
        "least": least,
        "most": _LONGEST_PLATE if "*" in pattern else least,
        "ending": ending,
        "within": max(inner, key=len, default=""),
    }


def search(client: Client, log: EventLog, page: Page) -> SearchPlatesResponse:
    """Answers a page, in order of plate. InvalidRequest on a token of a log that is not here."""
    pins = page.turn.pinned(client)
    if not pins:
        return SearchPlatesResponse()
    asked: dict[str, Any] = {
        "pattern": page.like,
        **page.bounds,
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
            **_bounds_of("*"),
            "after": "",
            "fuzzy": True,
            "candidates": list(scores),
            "rows": len(scores),
        }
        plate = next(iter(page.likeness.likely))
        pin = None if page.likeness.is_pattern else pins.get(log.log_id)
        if page.is_unfiltered and pin is not None:
            plates = _found(client, asked)
            found = {p: scores[p] for p in plates}
            # Both read the same plates, and neither waits for the other.
            question = least_sure_of(plate, found, log.log_id, pin)
            with client.meanwhile(lambda c: c.rows("queries/least_sure", **question)) as least_sure:
                rows = list(_summed(client, plates, asked))
            scores = from_posteriors(log, plate, found, least_sure.result())
        else:
            rows = list(_rows(client, page, asked))
            scores = {row[0]: scores[row[0]] for row in rows}
            if pin is not None:
                question = least_sure_of(plate, scores, log.log_id, pin)
                own = client.rows("queries/least_sure", **question)
                scores = from_posteriors(log, plate, scores, own)
        # The one asked for first, also where another's reads were as near to it.
        rows.sort(key=lambda row: (-scores[row[0]], row[0] != plate, row[0]))
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
        token = page.turn.token([summaries[-1].plate], pins)
    return SearchPlatesResponse(plates=summaries, next_page_token=token)


def _rows(client: Client, page: Page, asked: dict[str, Any]) -> Sequence[Row]:
    if page.is_unfiltered:
        return _summed(client, _found(client, asked), asked)
    return client.rows(
        "queries/search_filtered",
        **asked,
        **page.asked.parameters,
        country=page.asked.country,
        start=page.span.start,
        end=page.span.end,
    )


def _found(client: Client, asked: dict[str, Any]) -> list[str]:
    return [plate for (plate,) in client.rows("queries/found_plates", **asked)]


def _summed(client: Client, plates: Sequence[str], asked: dict[str, Any]) -> Sequence[Row]:
    if not plates:
        return []
    return client.rows("queries/search", plates=plates, logs=asked["logs"], pins=asked["pins"])

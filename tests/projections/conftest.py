"""One embedded ClickHouse for the session, a database a world: chDB has one data path a process."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from projections.clickhouse import ClickHouse
from tests.projections.world import World

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def chdb_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data path; kept open, so that the engine starts once."""
    path = tmp_path_factory.mktemp("chdb")
    client = ClickHouse.at(f"chdb:///{path}").open()
    yield path
    client.close()


@pytest.fixture(scope="module")
def make_world(
    chdb_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], World]]:
    """Worlds with a log and a database of their own."""
    worlds: list[World] = []

    def make() -> World:
        database = f"world{next(_numbers)}"
        world = World(tmp_path_factory.mktemp("w"), f"chdb:///{chdb_path}?database={database}")
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """One world."""
    return make_world()

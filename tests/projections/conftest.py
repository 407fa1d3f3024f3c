"""Worlds on the embedded engine and on a ClickHouse server over HTTP: one test body for both."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from projections.clickhouse import ClickHouse
from tests.conftest import ROOT
from tests.projections.world import World

_numbers = itertools.count(1)
_USER, _PASSWORD = "ring", "to:ken/ñ @1"

# For tests that are long and say nothing about the way to the engine.
embedded_alone = pytest.mark.parametrize("engine", ["chdb"], indirect=True, scope="module")


class Front:
    """A ClickHouse server over HTTP, as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0
        self.start()

    def start(self) -> None:
        """Starts it, on its former port where it had one."""
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.projections.clickhouse_front",
                str(self._folder), str(self.port),
            ],
            cwd=ROOT,
            env={**os.environ, "FRONT_USER": f"{_USER}:{_PASSWORD}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def tell(self, order: str) -> None:
        """One of the orders that it obeys."""
        assert self._process.stdin
        self._process.stdin.write(f"{order}\n".encode())
        self._process.stdin.flush()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(30)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()

    def dsn(self, database: str, password: str = _PASSWORD) -> str:
        """As RING_CLICKHOUSE has it."""
        secret = quote(password, safe="")
        return f"http://{_USER}:{secret}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def chdb_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data path; kept open, so that the engine starts once."""
    path = tmp_path_factory.mktemp("chdb")
    client = ClickHouse.at(f"chdb:///{path}").open()
    yield path
    client.close()


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One server a session, a database a world."""
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.kill()


@pytest.fixture(scope="module", params=["chdb", "http"])
def engine(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Gives the DSN of a database of that name: tests run on each kind of engine."""
    if request.param == "http":
        front: Front = request.getfixturevalue("front")
        return front.dsn
    path = request.getfixturevalue("chdb_path")
    return lambda database: f"chdb:///{path}?database={database}"


@pytest.fixture(scope="module")
def make_world(
    engine: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], World]]:
    """Worlds with a log and a database of their own."""
    worlds: list[World] = []

    def make() -> World:
        world = World(tmp_path_factory.mktemp("w"), engine(f"world{next(_numbers)}"))
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """One world."""
    return make_world()

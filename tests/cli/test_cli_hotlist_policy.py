"""`ring hotlist create` and `ring hotlist policy` against the real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.memory_ring import error_of, lines_of, run
from tests.conftest import Server, ServerFactory


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Server:
    socket: Path = tmp_path_factory.mktemp("socket") / "read.sock"
    return start_server("--role", "write", "--socket", str(socket))


def test_a_policy_is_shown_and_changed_in_parts(server: Server) -> None:
    def ask(*options: str, command: str = "policy") -> dict[str, object]:
        result = run("hotlist", command, "stolen", *options, "--json", server=server.address)
        assert result.returncode == 0, result.stderr
        (hotlist,) = lines_of(result)
        return hotlist

    made = ask("--threshold", "0.3", "--priority", "high=0.05", command="create")
    assert made["policy"]["threshold"] == pytest.approx(0.3)
    assert made["confidence_floor"] == 0.5
    changed = ask("--floor", "0.75", "--priority", "low=1")
    assert changed["policy"]["confidence_floor"] == 0.75
    assert changed["policy"]["threshold"] == pytest.approx(0.3)
    assert set(changed["policy"]["priority_thresholds"]) == {"high", "low"}
    changed = ask("--priority", "high=", "--threshold", "0.02")
    assert changed["policy"]["priority_thresholds"] == {"low": 1}
    assert ask() == changed
    assert changed["version"] == "2"
    shown = run("hotlist", "policy", "stolen", server=server.address).stdout
    for line in ("confidence floor", "0.75", "threshold of low", "listed share", "0.002"):
        assert line in shown


def test_known_vehicles_have_a_list_of_their_own_kind(server: Server) -> None:
    made = run("hotlist", "create", "patrol cars", "--kind", "allow", server=server.address)
    assert "patrol cars of default, version 0: known vehicles, no alerts" in made.stdout
    assert "threshold" not in made.stdout


def test_what_can_not_be_is_told_in_one_line(server: Server) -> None:
    for made in (("odd",), ("both", "--agency", "police"), ("both", "--agency", "customs")):
        assert run("hotlist", "create", *made, server=server.address).returncode == 0
    for options, told in (
        (("nobody's",), "there is no hotlist"),
        (("odd", "--priority", "high"), "is not PRIORITY=THRESHOLD"),
        (("odd", "--priority", "high=7"), "threshold of priority 'high' 7 is outside"),
        (("odd", "--listed-share", "0"), "listed share 0 is not over 0"),
        (("both", "--floor", "0.6"), "a hotlist 'both' each: say which with --agency"),
    ):
        assert told in error_of(run("hotlist", "policy", *options, server=server.address))

"""Looking back, its dry run and replay in a terminal, over a real ring."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from tests.cli.memory_ring import error_of, fails, lines_of, run
from tests.conftest import Server, ServerFactory
from tests.terminal import beside_terminal
from tests.vendor import Client, read

WHY = ("--case", "C-7", "--reason", "stolen")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "checkpoints.csv").write_text("code,name,latitude,longitude\nA,Norte,-34.5,-58.4\n")
    (folder / "readers.csv").write_text("reader_id,checkpoint,lane,direction\nr1,A,1,entry\n")
    (folder / "list.csv").write_text("plate,reason\nAB123CD,theft\nZZ999ZZ,\n")
    return folder


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, folder: Path) -> Server:
    server = start_server()
    for what in ("checkpoints", "readers"):
        result = run(what, "import", str(folder / f"{what}.csv"), server=server.address)
        assert result.returncode == 0
    client = Client(server, "r1", str(uuid.uuid4()), timeout=60)
    client.batch(read(1), read(2, "XY987ZW"))
    client.until(2)
    client.close()
    return server


def ask(server: Server, *arguments: str) -> list[dict[str, object]]:
    return lines_of(run(*arguments, "--json", server=server.address))


def test_a_check_tells_what_would_have_been_raised_and_raises_nothing(
    server: Server, folder: Path
) -> None:
    file = str(folder / "list.csv")
    as_police = ("--as", "police")
    assert "police" not in run(
        "hotlist", "check", file, *WHY, *as_police, server=server.address
    ).stdout  # fmt: skip
    result = run("hotlist", "check", file, *WHY, server=server.address)
    assert result.returncode == 0
    assert "WOULD HIT  AB123CD  at A entry lane 1  theft  confidence" in result.stdout
    assert result.stdout.endswith("1 alert would have been raised\n")
    (line,) = ask(server, "hotlist", "check", file, *WHY)
    assert line["alert"]["entry"]["reason"] == "theft"
    assert ask(server, "hotlist", "check", file, "--to", "2020-01-01", *WHY) == []
    error = error_of(run("hotlist", "check", file, server=server.address))
    assert "--case" in error


def test_an_import_looks_back_and_a_replay_finds_the_same(server: Server, folder: Path) -> None:
    file = str(folder / "list.csv")
    (none,) = ask(server, "hotlist", "import", "none", file, "--look-back", "0")
    assert none["look_back_id"] == ""
    (answer,) = ask(server, "hotlist", "import", "stolen", file, "--look-back", "7d", *WHY)
    id_ = str(answer["look_back_id"])
    deadline = time.monotonic() + 60
    while (found := ask(server, "look-back", "show", id_)[0])["state"] != "LOOK_BACK_STATE_ENDED":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (found["alerts"], found["entries"]) == ("1", "2")
    assert found["look_back"] == {
        "period": "604800s",
        "purpose": {"case_number": "C-7", "reason": "stolen"},
    }
    assert [one["look_back_id"] for one in ask(server, "look-back", "list")] == [id_]
    shown = run("look-back", "show", id_, server=server.address).stdout
    assert "7 d 00 h" in shown
    assert "C-7" in shown
    assert id_ in run("look-back", "list", server=server.address).stdout
    assert "looked back" in run(
        "alerts", "--from-beginning", "--count", "1", server=server.address
    ).stdout  # fmt: skip

    same = run("hotlist", "replay", "stolen", *WHY, server=server.address)
    assert (same.returncode, same.stdout) == (
        0, "equal: 1 alert on 2 reads, version 1 of the list\n",
    )  # fmt: skip
    other = run("hotlist", "replay", "none", *WHY, server=server.address)
    assert other.returncode == 1
    assert "was not looked back for" in other.stdout
    assert "1 would have been" in other.stdout
    before = ask(server, "hotlist", "replay", "none", "--to", "2020-01-01", *WHY)
    assert before == [{"outcome": {"hotlist_version": "1"}}]


@pytest.mark.parametrize("command", ["check", "replay"])
def test_an_answer_goes_to_its_file_while_progress_goes_to_the_terminal(
    server: Server, folder: Path, tmp_path: Path, command: str
) -> None:
    run("hotlist", "import", "piped", str(folder / "list.csv"), "--look-back", "0",
        server=server.address)  # fmt: skip
    what = str(folder / "list.csv") if command == "check" else "piped"
    wanted = run("hotlist", command, what, *WHY, server=server.address)
    assert "AB123CD" in wanted.stdout
    done = beside_terminal(
        "ring.cli", "hotlist", command, what, *WHY, "--server", server.address,
        file=tmp_path / "answer",
        env={k: v for k, v in os.environ.items() if not k.startswith("RING_")},
    )  # fmt: skip
    assert (done.code, done.answer) == (wanted.returncode, wanted.stdout)
    assert f"{command}ing" in done.shown
    assert "AB123CD" not in done.shown


def test_what_is_wrong_is_one_line(server: Server, folder: Path) -> None:
    file = str(folder / "list.csv")
    bad = folder / "bad.csv"
    bad.write_text("plate\nAB123CD\n\n*\n")
    assert "row 4: '*' is not a pattern" in error_of(
        run("hotlist", "check", str(bad), *WHY, server=server.address)
    )
    half = run("hotlist", "import", "half", file, "--case", "C-1", server=server.address)
    assert "--reason" in error_of(half)
    assert "no looking back" in error_of(
        run("look-back", "show", str(uuid.uuid4()), server=server.address)
    )
    code, line = fails("hotlist", "import", "x", file, "--look-back", "soon")
    assert (code, "no length of time" in line) == (2, True)

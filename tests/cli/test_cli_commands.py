"""Every command: its help, its errors as one line, and what it asks of the server."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from typer.main import get_command
from typer.testing import CliRunner

from proto.ring.v1 import investigation_pb2, operations_pb2, registry_pb2
from ring.cli.__main__ import app
from tests.cli.memory_ring import LOG, MemoryRing, at, error_of, fails, lines_of, position, run
from tests.conftest import ROOT


def commands(of: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command by its words; a group that is a command by itself too."""
    within = getattr(of, "commands", {})
    if not within or of.invoke_without_command:
        yield path
    for name, command in within.items():
        yield from commands(command, (*path, name))


COMMANDS = list(commands(get_command(app)))
PURPOSE = ("--case", "C-1", "--reason", "test")


@pytest.fixture
def ring() -> Iterator[MemoryRing]:
    ring = MemoryRing()
    yield ring
    ring.stop()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_takes_server_json_as_and_help_at_its_end(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for option in ("--server", "--json", "--as", "--help"):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("arguments", "line", "code"),
    [
        (["serach"], "No such command 'serach'", 2),
        (["search"], "Missing argument", 2),
        (["search", "A*"], "add --case and --reason, or set RING_CASE and RING_REASON", 2),
        (["search", "A*", "--case", "1"], "add --reason, or set RING_REASON", 2),
        (["search", "A*", *PURPOSE, "--from", "yesterday"], "'yesterday' is no time", 2),
        (["search", "A*", *PURPOSE, "--at-least", "12"], "LOGID:POSITION", 2),
        (
            ["search", "A*", *PURPOSE, "--from", "2026-04-02", "--to", "2026-04-01"],
            "no time lies between 2026-04-02 and 2026-04-01",
            2,
        ),
        (["flows", "--from", "2026-04-01T08Z", "--to", "2026-04-01T08Z"], "no time lies", 2),
        (["flows", "--to", "9999-12-31"], "9999-12-31 is out of range", 2),
        (["common", "A@2026-04-02/2026-04-01", *PURPOSE], "no time lies between", 2),
        (["status", "--server", "nowhere"], "'nowhere' is no server address", 2),
        (["status", "--server", "127.0.0.1:9"], "no ring server answers at 127.0.0.1:9", 1),
        (["status", "--bogus"], "No such option", 2),
        (["hotlist", "remove", "x"], "--plate PLATE or --entry ID", 2),
        (["alerts", "resolve", "x", "maybe"], "confirmed, misread, not of interest", 2),
        (["alerts", "--from-beginning", "--after", "a:1"], "not both", 2),
        (["picture", "abc", "-o", "x", *PURPOSE], "no SHA-256", 2),
        (["common", "GP-01", *PURPOSE], "CHECKPOINT@FROM/TO, e.g. GP-12@2026", 2),
        (["companions", "A", "--within", "soon", *PURPOSE], "no length of time", 2),
        (["companions", "A", "--within", "99999999999d", *PURPOSE], "no length of time", 2),
        (["companions", "A", "--within", "0s", *PURPOSE], "--within must be longer", 2),
        (["companions", "A", "--limit", "4294967296", *PURPOSE], "less than or equal", 2),
        (["present", "--longer-than", "9" * 400, *PURPOSE], "no length of time", 2),
        (["present", "--at", "", *PURPOSE], "'' is no time", 2),
        (["search", "A*", *PURPOSE, "--from", ""], "'' is no time", 2),
        (["search", "A*", "--timeout", "inf", *PURPOSE], "less than or equal", 2),
        (["common", "GP-01@x/y", *PURPOSE], "'x' is no time", 2),
        (["rejects", "show", "x"], "no position", 2),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    arguments: list[str], line: str, code: int
) -> None:
    found, said = fails(*arguments)
    assert line in said
    assert found == code


def test_a_setting_that_is_wrong_is_named() -> None:
    result = run("status", env={"RING_TIME_ZONE": "Buenos Aires"})
    assert "RING_TIME_ZONE" in error_of(result)


def test_search_asks_what_it_was_told_and_follows_the_pages(ring: MemoryRing) -> None:
    ring.plates = [investigation_pb2.PlateSummary(plate=f"A{n:04d}") for n in range(2_500)]
    found = lines_of(
        run(
            *("search", "A*", "--fuzzy", "--from", "2026-04-01", "--to", "2026-04-02"),
            *("--checkpoint", "GP-01", "--checkpoint", "GP-02", "--limit", "9999", "--json"),
            *("--at-least", f"{LOG}:17"),
            server=ring.address,
            env={
                "RING_CASE": "C-7",
                "RING_REASON": "why",
                "RING_TIME_ZONE": "America/Argentina/Buenos_Aires",
            },
        )
    )
    assert [plate["plate"] for plate in found] == [p.plate for p in ring.plates]
    asked = ring.requests[0]
    assert (asked.purpose.case_number, asked.purpose.reason) == ("C-7", "why")
    assert asked.range.start_time.ToJsonString() == "2026-04-01T03:00:00Z"
    assert asked.range.end_time.ToJsonString() == "2026-04-03T03:00:00Z"
    assert asked.checkpoints == ["GP-01", "GP-02"]
    assert asked.fuzzy
    assert asked.at_least == [position(17)]


def test_every_question_has_an_example() -> None:
    text = (ROOT / "docs" / "investigations.md").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert command.callback
        if "case" in inspect.signature(command.callback).parameters:
            assert f"\nring {command.callback.__name__} " in text


def test_search_says_when_there_is_more(ring: MemoryRing) -> None:
    ring.plates = [investigation_pb2.PlateSummary(plate=f"A{n:04d}") for n in range(30)]
    result = run("search", "A*", "--limit", "10", *PURPOSE, server=ring.address)
    assert result.returncode == 0
    assert "A0009" in result.stdout
    assert "A0010" not in result.stdout
    assert "more than 10 plates match" in result.stderr


def test_a_checkpoint_that_is_not_there_is_told(ring: MemoryRing) -> None:
    ring.checkpoints["GP-01"] = registry_pb2.Checkpoint(code="GP-01")
    here, slip = ("--checkpoint", "GP-01"), ("--checkpoint", "GP01")
    questions = {
        "search": ("search", "A*", *here, *slip),
        "companions": ("companions", "AB123CD", *here, *slip),
        "common": ("common", "GP-01@2026-04-01/2026-04-01", "GP01@2026-04-01/"),
        "clones": ("clones", *here, *slip),
        "flows": ("flows", *here, *slip),
    }
    for question, asked in questions.items():
        purpose = () if question == "flows" else PURPOSE
        result = run(*asked, *purpose, server=ring.address)
        assert result.returncode == 0
        assert (
            result.stderr == "ring: no checkpoint is called 'GP01': see 'ring checkpoints list'\n"
        )


def test_an_answer_for_programs_has_every_field_also_where_it_is_nothing(ring: MemoryRing) -> None:
    ring.listed = 1
    [companion] = lines_of(run("companions", "A", *PURPOSE, "--json", server=ring.address))
    assert companion == {
        "plate": "",
        "encounters": 0,
        "checkpoints": 0,
        "score": 0.0,
        "expected": 0.0,
    }
    [vehicle] = lines_of(run("present", *PURPOSE, "--json", server=ring.address))
    assert vehicle == {"plate": ""}  # no visit is not the same as an empty one


def test_common_plates_are_shown_with_their_scenes(ring: MemoryRing) -> None:
    ring.checkpoints["GP-01"] = registry_pb2.Checkpoint(code="GP-01")
    ring.common = [investigation_pb2.CommonPlate(plate="AB123CD", scenes=2, seen_at=[0, 2])]
    scenes = [f"GP-01@2026-04-0{day}/2026-04-0{day}" for day in (1, 2, 3)]
    shown = run("common", *scenes, "--min-scenes", "2", *PURPOSE, server=ring.address).stdout
    assert "1 plate seen at 2 or more of 3 scenes" in shown
    assert "1 GP-01, 3 GP-01" in shown
    assert "0 companions of A1" in run("companions", "A1", *PURPOSE, server=ring.address).stdout
    ring.listed = 1
    assert "1 companion of A1" in run("companions", "A1", *PURPOSE, server=ring.address).stdout


def test_lists_say_when_a_limit_left_some_out(ring: MemoryRing) -> None:
    ring.checkpoints["GP-01"] = registry_pb2.Checkpoint(code="GP-01")
    questions = {
        "companions": ("companions", "AB123CD"),
        "plates": ("common", "GP-01@2026-04-01/2026-04-01"),
        "pairs": ("clones",),
        "vehicles": ("present",),
    }
    for things, question in questions.items():
        ring.listed, ring.more = 3, True
        for form in ((), ("--json",)):
            said = run(*question, *form, *PURPOSE, server=ring.address).stderr
            assert f"more than 3 {things}: raise --limit, or ask more narrowly" in said
        ring.more = False
        assert not run(*question, *PURPOSE, server=ring.address).stderr
    ring.listed, ring.more = 1_000, True
    said = run("present", "--limit", "2000", *PURPOSE, server=ring.address).stderr
    assert "more than 1,000 vehicles: ask more narrowly" in said


def test_a_rejected_read_is_shown_whole(ring: MemoryRing) -> None:
    ring.rejects = [
        operations_pb2.Reject(
            position=position(number),
            reader_id="r1",
            reason="no plate",
            received_at=at("2026-04-01T11:00:00Z"),
            read={"sequence": number, "plate": "!", "confidence": 7.0},
        )
        for number in (40, 41, 50)
    ]
    assert "no plate" in run("rejects", server=ring.address).stdout
    assert len(lines_of(run("rejects", "list", "--json", server=ring.address))) == 3
    limited = run("rejects", "--limit", "2", "--json", server=ring.address)
    assert len(limited.stdout.splitlines()) == 2
    assert "more than 2" in limited.stderr
    [shown] = lines_of(run("rejects", "show", "41", "--json", server=ring.address))
    assert shown["read"] == {"sequence": "41", "plate": "!", "confidence": 7.0}
    assert "41" in run("rejects", "show", f"{LOG}:41", server=ring.address).stdout
    assert "no rejected read at 42" in error_of(run("rejects", "show", "42", server=ring.address))


def test_a_rejected_read_of_no_calendar_s_time_is_shown_as_it_was_sent(ring: MemoryRing) -> None:
    wild = {"sequence": 1, "plate": "!", "captured_at": Timestamp(seconds=1 << 62, nanos=-5)}
    ring.rejects = [
        operations_pb2.Reject(position=position(40), reason="plate", read=wild),
        operations_pb2.Reject(position=position(41), reason="plate", read={"sequence": 2}),
    ]
    listed = lines_of(run("rejects", "--json", server=ring.address))
    assert [reject["read"]["sequence"] for reject in listed] == ["1", "2"]
    [shown] = lines_of(run("rejects", "show", "40", "--json", server=ring.address))
    assert shown == listed[0]
    assert shown["read"]["captured_at"] == {"seconds": str(1 << 62), "nanos": -5}
    assert str(1 << 62) in run("rejects", "show", "40", server=ring.address).stdout


def test_a_rebuild_that_differs_names_the_table_and_its_columns(ring: MemoryRing) -> None:
    ring.progress = [
        operations_pb2.RebuildProgress(position=5, head=10),
        operations_pb2.RebuildProgress(
            position=10,
            head=10,
            outcome="different",
            tables=[
                {"table": "flows", "rows_live": 3, "rows_rebuilt": 3},
                {"table": "sightings", "different_columns": ["plate", "lane"]},
            ],
        ),
    ]
    result = run("rebuild", "--verify", server=ring.address)
    assert "sightings (plate, lane)" in error_of(result)
    ring.progress[1].outcome = "equal"
    assert run("rebuild", "--verify", server=ring.address).returncode == 0
    ring.progress.pop()
    assert "without an outcome" in error_of(run("rebuild", server=ring.address))


def test_status_says_how_far_behind_the_read_side_is(ring: MemoryRing) -> None:
    assert "90 (10 behind)" in run("status", server=ring.address).stdout


def test_output_is_not_cut_off_in_a_pipe(ring: MemoryRing, tmp_path: Path) -> None:
    name = "Avenida " * 30
    file = tmp_path / "checkpoints.csv"
    file.write_text(f"code,name,latitude,longitude\nGP-01,{name},0,0\n")
    run("checkpoints", "import", str(file), server=ring.address)
    assert name.strip() in run("checkpoints", "list", server=ring.address).stdout


@pytest.mark.parametrize("shown", [["--json"], []], ids=["json", "table"])
def test_an_answer_that_can_not_be_written_is_one_line(ring: MemoryRing, shown: list[str]) -> None:
    ring.plates = [investigation_pb2.PlateSummary(plate="A1")]
    asked = ["search", "A*", *PURPOSE, *shown, "--server", ring.address]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "ring.cli", *asked],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.stderr == "ring: the answer can't be written: no space left on device\n"
    assert result.returncode == 1


@pytest.mark.parametrize("shown", [["--json"], []], ids=["json", "table"])
def test_who_reads_no_further_than_the_first_lines_is_no_failure(
    ring: MemoryRing, shown: list[str]
) -> None:
    ring.plates = [investigation_pb2.PlateSummary(plate=f"A{n:05d}") for n in range(3_000)]
    asked = ["search", "A*", *PURPOSE, *shown, "--limit", "9999", "--server", ring.address]
    process = subprocess.Popen(
        [sys.executable, "-m", "ring.cli", *asked],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def in_terminal(columns: int, *arguments: str) -> str:
    """What the command shows in a terminal so many characters wide, without its colours."""
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (24, columns))
    unset = ("COLUMNS", "LINES")
    env = {k: v for k, v in os.environ.items() if k not in unset} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ring.cli", *arguments], cwd=ROOT, env=env, stdout=its, stderr=its
    )
    os.close(its)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    assert process.wait(60) == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "")


def test_a_table_that_would_break_words_is_shown_row_by_row(ring: MemoryRing) -> None:
    plate = investigation_pb2.PlateSummary(plate="AB123CD", reads=1_234, score=1.0)
    plate.first_seen.CopyFrom(at("2026-04-01T11:00:00Z"))
    ring.plates = [plate, investigation_pb2.PlateSummary(plate="AB123CE", region="AR")]
    asked = ("search", "A*", *PURPOSE, "--server", ring.address)
    rows = [line.split() for line in in_terminal(100, *asked).splitlines()]
    assert ["plate", "region", "reads", "first", "seen", "last", "seen", "score"] in rows
    shown = in_terminal(40, *asked)
    rows = [line.split() for line in shown.splitlines()]
    assert ["plate", "AB123CD"] in rows
    assert ["reads", "1,234"] in rows
    assert ["first", "seen", "2026-04-01", "11:00:00"] in rows
    # What is empty is left out.
    assert shown.count("region") == 1


def test_who_waits_long_in_a_terminal_sees_that_something_goes_on(
    ring: MemoryRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ring.ListFlows
    monkeypatch.setattr(ring, "ListFlows", lambda *call: (time.sleep(2.5), answer(*call))[1])
    ring.stop()
    ring.restart()
    assert "waiting for the answer" in in_terminal(100, "flows", "--server", ring.address)
    quick = in_terminal(100, "present", *PURPOSE, "--server", ring.address)
    assert "waiting" not in quick
    piped = run("flows", server=ring.address)
    assert piped.stderr == ""


def test_the_help_of_clones_says_which_confidence_counts() -> None:
    shown = CliRunner().invoke(app, ["clones", "--help"], env={"COLUMNS": "200"}).stdout
    assert "Only reads at least so sure; 0: 0.8." in shown

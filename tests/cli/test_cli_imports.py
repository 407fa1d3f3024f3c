"""What a spreadsheet may look like, and what an import tells of it."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ring.cli.csv_file import BadRow, CsvFile
from ring.cli.failure import CommandError
from tests.cli.memory_ring import MemoryRing, error_of, fails, lines_of, run


@pytest.fixture
def ring() -> Iterator[MemoryRing]:
    ring = MemoryRing()
    yield ring
    ring.stop()


def test_checkpoints_come_in_and_are_listed(ring: MemoryRing, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.csv"
    file.write_text(
        "code,name,latitude,longitude\nGP-01,Río,-34.5,-58.4\nGP-02,Cabildo,-34.6,-58\n"
    )
    result = run("checkpoints", "import", str(file), server=ring.address)
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 added" in result.stdout
    found = lines_of(run("checkpoints", "list", "--json", server=ring.address))
    assert found[0] == {"code": "GP-01", "name": "Río", "latitude": -34.5, "longitude": -58.4}
    assert "Cabildo" in run("checkpoints", "list", server=ring.address).stdout


def test_a_spreadsheet_with_mark_semicolons_and_decimal_commas_is_read(
    ring: MemoryRing, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoints.csv"
    file.write_bytes(
        "\ufeffName;Code;Latitude;Longitude;Notes\r\n"
        '"Paso; de la Noria";RI-01;-34,7050;-58,4640;x\r\n\r\n'.encode()
    )
    result = run("checkpoints", "import", str(file), server=ring.address)
    assert result.returncode == 0
    assert result.stderr == f"ring: {file}: columns not used: notes\n"
    assert ring.checkpoints["RI-01"].name == "Paso; de la Noria"
    assert ring.checkpoints["RI-01"].latitude == -34.7050


def test_bad_rows_are_named_by_line_and_the_good_ones_count(
    ring: MemoryRing, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoints.csv"
    file.write_text(
        "code,name,latitude,longitude\n"
        "GP-01,a,-34.5,-58.4\n"
        ",b,-34.5,-58.4\n"  # 3: no code
        "GP-03,c,north,-58.4\n"  # 4: no number
        "\n"
        "GP 06,d,-34.5,-58.4\n"  # 6: the server refuses it
        'GP-07,"e,-34.5,-58.4\n'  # 7: the quotation mark is never closed
        "GP-08,f,-34.5,-58.4,more\n"  # 8: too many
        "GP-09,g,-34.5,nan\n"  # 9: no longitude
        "GP-10,h,-34.5,-58.4\n"
    )
    result = run("checkpoints", "import", str(file), "--json", server=ring.address)
    assert result.returncode == 1
    summary = json.loads(result.stdout)
    assert summary["added"] == 2
    assert [row["line"] for row in summary["rejected"]] == [3, 4, 6, 7, 8, 9]
    assert sorted(ring.checkpoints) == ["GP-01", "GP-10"]
    result = run("checkpoints", "import", str(file), server=ring.address)
    assert result.returncode == 1
    assert "line 6: code is not" in result.stderr
    assert result.stderr.endswith("6 rows were left out; the others count\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "empty"),
        (b"code,name\nA,b\n", "lacks latitude, longitude"),
        (b"code,name,latitude,longitude,code\n", "names code twice"),
        (b"code,name,latitude,longitude\nA,R\xedo,1,2\n", "line 2 is not UTF-8"),
        ("code,name\n".encode("utf-16"), "line 1 is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    ring: MemoryRing, tmp_path: Path, content: bytes, line: str
) -> None:
    file = tmp_path / "checkpoints.csv"
    file.write_bytes(content)
    code, said = fails("checkpoints", "import", str(file), "--server", ring.address)
    assert code == 1
    assert line in said
    assert str(file) in said


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    assert "no such file" in fails("readers", "import", str(tmp_path / "none.csv"))[1]


def test_readers_stand_for_entry_exit_or_both(ring: MemoryRing, tmp_path: Path) -> None:
    file = tmp_path / "readers.csv"
    file.write_text(
        "reader_id,checkpoint,lane,direction\n"
        "r1,GP-01,1,entry\nr2,GP-01,,EXIT\nr3,GP-01,2,both\nr4,GP-01,2,sideways\n"
    )
    result = run("readers", "import", str(file), server=ring.address)
    assert result.returncode == 1
    assert "line 5: direction 'sideways': entry, exit or both" in result.stderr
    assert {r.reader_id: r.direction for r in ring.readers.values()} == {"r1": 1, "r2": 2, "r3": 0}
    assert "r3" in run("readers", "list", server=ring.address).stdout
    assert lines_of(run("readers", "revoke", "r1", "--json", server=ring.address)) == [
        {
            "reader_id": "r1",
            "checkpoint": "GP-01",
            "lane": "1",
            "direction": "DIRECTION_ENTRY",
            "revoked": True,
        }
    ]
    assert "no reader r9" in error_of(run("readers", "revoke", "r9", server=ring.address))


def test_hotlist_times_without_a_zone_are_in_the_settings_zone(
    ring: MemoryRing, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(
        "plate,reason,valid_from,expires_at,priority\n"
        "AA111AA,day,2026-04-01,2026-04-02,high\n"
        "BB222BB,time,,2026-04-02T08:30,\n"
        "CC333CC,zone,,2026-04-02T08:30Z,\n"
        "DD444DD,bad,,soon,\n"
        "E,\n"
    )
    zone = {"RING_TIME_ZONE": "America/Argentina/Buenos_Aires"}
    result = run("hotlist", "import", "stolen", str(file), server=ring.address, env=zone)
    assert result.returncode == 1
    assert "line 5: 'soon' is no time" in result.stderr
    ends = {e.plate: e.expires_at.ToJsonString() for e in ring.entries if e.HasField("expires_at")}
    assert ends == {
        "AA111AA": "2026-04-03T03:00:00Z",
        "BB222BB": "2026-04-02T11:30:00Z",
        "CC333CC": "2026-04-02T08:30:00Z",
    }
    assert ring.entries[0].valid_from.ToJsonString() == "2026-04-01T03:00:00Z"
    assert not ring.entries[3].HasField("expires_at")


def test_a_long_hotlist_goes_in_bounded_messages_and_keeps_its_line_numbers(
    ring: MemoryRing, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    rows = [f"A{n:05d}" for n in range(12_000)]
    rows[7_777] = "-!-"
    rows[3] = ""  # blank: not a row, and not sent
    file.write_text("plate\n" + "\n".join(rows) + "\n")
    result = run("hotlist", "import", "long", str(file), "--json", server=ring.address)
    assert result.returncode == 1
    summary = json.loads(result.stdout)
    assert [len(message.entries) for message in ring.requests] == [5000, 5000, 1999]
    assert summary["rejected"] == [{"line": 7_779, "reason": "no such plate"}]
    assert summary["hotlist"]["entries"] == "11998"


def test_long_reasons_do_not_make_a_message_too_long(ring: MemoryRing, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("plate,reason\n" + "".join(f"A{n:05d},{'x' * 2_000}\n" for n in range(4_000)))
    result = run("hotlist", "import", "long", str(file), server=ring.address)
    assert result.returncode == 0, result.stderr
    assert len(ring.entries) == 4_000
    assert max(message.ByteSize() for message in ring.requests) < 3 << 20


def test_a_file_that_breaks_in_the_middle_changes_nothing(ring: MemoryRing, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(b"plate\n" + b"AB123CD\n" * 6_000 + b"AB\xff\n")
    result = run("hotlist", "import", "broken", str(file), server=ring.address)
    assert "line 6002 is not UTF-8" in error_of(result)
    assert ring.entries == []


@pytest.mark.parametrize("rows", ["", ",no plate\n"])
def test_an_import_without_a_good_row_does_not_empty_the_list(
    ring: MemoryRing, tmp_path: Path, rows: str
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("plate,reason\n" + rows)
    ring.entries = ["kept"]
    result = run("hotlist", "import", "x", str(file), server=ring.address)
    assert "no change made" in error_of(result)
    assert ring.entries == ["kept"]
    run("hotlist", "import", "x", str(file), "--allow-empty", server=ring.address)
    assert ring.entries == []


def test_a_file_with_other_headers_is_mapped(ring: MemoryRing, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(
        "\ufeffPATENTE;Motivo, breve;plate;HASTA\r\n"
        'AA111AA;"robo; con ""arma""";x;2026-04-02\r\n'.encode()
    )
    mapping = "plate=patente, reason=Motivo, breve,expires_at=HASTA"
    result = run("hotlist", "import", "s", str(file), "--map", mapping, server=ring.address)
    assert result.returncode == 0, result.stderr
    assert result.stderr == f"ring: {file}: columns not used: plate\n"
    (entry,) = ring.entries
    assert (entry.plate, entry.reason) == ("AA111AA", 'robo; con "arma"')
    assert entry.expires_at.ToJsonString() == "2026-04-03T00:00:00Z"


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("plate=PATENTE", "no column is called 'PATENTE'; the header names Dominio, Motivo"),
        ("plate", "write COLUMN=HEADER"),
        ("plate=", "write COLUMN=HEADER"),
        ("owner=Dominio", "there is no column 'owner', only plate, reason"),
        ("plate=Dominio,plate=Motivo", "--map names plate twice"),
        ("reason=Motivo", "the header lacks plate"),
    ],
)
def test_a_mapping_that_can_not_be_is_one_clear_line(
    tmp_path: Path, mapping: str, said: str
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("Dominio,Motivo\nAA111AA,x\n")
    assert said in fails("hotlist", "import", "s", str(file), "--map", mapping)[1]


def rows_of(path: Path) -> list[tuple[int, str]]:
    """(line, values joined, or why it is none) of every row."""
    with CsvFile(path, ("a", "b")) as file:
        return [
            (row.line, row.reason if isinstance(row, BadRow) else "|".join(row.values.values()))
            for row in file.rows()
        ]


def test_a_quoted_value_may_go_over_lines_but_not_swallow_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(
        b'a,b\n1,"two\nlines"\r\n2,"never closed\n3,"x"\n4,"a ""word"""\n5,plain\n'
        + b'6,"to the end\n'
        + b"7,y\n" * 300
    )
    found = rows_of(file)
    assert found[0] == (2, "1|two\nlines")
    assert found[1][0] == 4
    assert found[1][1].startswith("not in CSV form")
    assert found[2:5] == [(5, "3|x"), (6, '4|a "word"'), (7, "5|plain")]
    assert found[5][0] == 8
    assert found[5][1].startswith("not in CSV form")
    assert found[6:] == [(line, "7|y") for line in range(9, 309)]


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")).map(str.strip)


@settings(max_examples=100)
@given(
    rows=st.lists(st.tuples(texts, texts).filter(any), max_size=8),
    delimiter=st.sampled_from(",;"),
    ending=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
)
def test_what_a_csv_writer_writes_is_read_back(rows, delimiter, ending, mark) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("w", newline="", encoding="utf-8-sig" if mark else "utf-8") as out:
            # The library puts a lone CR into quotation marks only where lines end in CR LF.
            quoting = csv.QUOTE_MINIMAL if ending == "\r\n" else csv.QUOTE_ALL
            writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)
            writer.writerows([("a", "b"), *rows])
        assert [values for _, values in rows_of(path)] == [f"{a}|{b}" for a, b in rows]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a,b\r1,2\r3,4\r", "save it with LF or CR LF"), (b"a,b\n" + b"x" * (2 << 20), "has no end")],
)
def test_a_file_without_lines_is_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(CommandError, match=said):
        rows_of(file)

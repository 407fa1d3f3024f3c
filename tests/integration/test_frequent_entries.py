"""An entry that would hit more than 100 times a day goes live only when it is confirmed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.ring.v1 import hotlist_pb2, investigation_pb2, investigation_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import LogPosition, Purpose
from tests.cli.in_process import ring_command
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_agencies import Agency
from tests.integration.test_alerts import register, send
from tests.vendor import read


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    """With a bus, BUS01, that was read 120 times today, and 60 taxis that were twice."""
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, "r1", "r2")
    taxis = [f"TX{n:03d}" for n in range(60)]
    send(server, *(read(n, "BUS01") for n in range(1, 121)))
    last = send(server, *(read(n, plate) for n, plate in enumerate([*taxis, *taxis], 1)))
    with server.channel() as channel:
        # Waits until the read side has them.
        stub = investigation_pb2_grpc.InvestigationServiceStub(channel)
        agency = Agency(server, None)
        here = agency.load("first", HotlistEntry(plate="AA111AA")).position
        agency.close()
        stub.SearchPlates(
            investigation_pb2.SearchPlatesRequest(
                purpose=Purpose(case_number="1", reason="test"),
                pattern="BUS*",
                at_least=[LogPosition(log_id=here.log_id, position=last)],
            ),
            timeout=60,
        )
    return server


@pytest.fixture
def agency(server: Server) -> Iterator[Agency]:
    agency = Agency(server, "police")
    yield agency
    agency.close()


def load(agency: Agency, name: str, *plates: str, confirm: bool = False):
    return agency.load(name, *(HotlistEntry(plate=plate) for plate in plates), confirm=confirm)


def test_frequent_entries_are_left_out_until_they_are_confirmed(agency: Agency) -> None:
    plates = ["BUS01", "tx-*", "TX00?", "AB123CD", "*1*"]
    answer = load(agency, "frequent", *plates)
    # A line that comes twice counts once.
    assert load(agency, "twice", "BUS01", "BUS01").unconfirmed_total == 1
    # BUS01 is 120 reads, TX* 120, TX00? 20; *1* has the bus and some taxis.
    assert [(u.row, u.plate) for u in answer.unconfirmed] == [(1, "BUS01"), (2, "TX*"), (5, "*1*")]
    assert [u.reads_a_day for u in answer.unconfirmed][:2] == [120, 120]
    assert answer.unconfirmed[2].reads_a_day > 120
    assert (answer.unconfirmed_total, answer.added, answer.rejected_total) == (3, 2, 0)
    confirmed = load(agency, "frequent", *plates, confirm=True)
    assert (confirmed.added, confirmed.unchanged, confirmed.unconfirmed_total) == (3, 2, 0)
    # Live entries need not be confirmed again.
    again = load(agency, "frequent", *plates)
    assert (again.added, again.removed, again.unchanged, again.unconfirmed_total) == (0, 0, 5, 0)
    versions = agency.ask(
        agency.lists.ListHotlistVersions,
        hotlist_pb2.ListHotlistVersionsRequest(hotlist="frequent"),
    ).versions
    assert [(v.confirmed, v.by) for v in versions] == [(0, "police"), (0, "police"), (3, "police")]


def test_what_was_confirmed_stays_live_when_another_field_of_it_changes(agency: Agency) -> None:
    load(agency, "changing", "BUS01", "TX*", confirm=True)
    changed = [HotlistEntry(plate=plate, reason="new") for plate in ("BUS01", "TX*", "*1*")]
    answer = agency.load("changing", *changed)
    assert (answer.added, answer.removed, answer.hotlist.entries) == (2, 2, 2)
    assert [u.plate for u in answer.unconfirmed] == ["*1*"]
    # Taken off, it is asked about like any other.
    remove = hotlist_pb2.RemoveEntriesRequest(hotlist="changing", plates=["BUS01"])
    agency.ask(agency.lists.RemoveEntries, remove)
    again = load(agency, "changing", "BUS01", "TX*")
    assert [u.plate for u in again.unconfirmed] == ["BUS01"]


def test_an_allow_list_raises_nothing_and_needs_no_confirmation(agency: Agency) -> None:
    request = hotlist_pb2.CreateHotlistRequest(name="known", kind=hotlist_pb2.HOTLIST_KIND_ALLOW)
    agency.ask(agency.lists.CreateHotlist, request)
    answer = load(agency, "known", "BUS01", "TX*")
    assert (answer.added, answer.unconfirmed_total) == (2, 0)


def test_the_command_names_them_by_line(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("plate\n\nBUS01\nAA111AA\nTX*\n")
    told = ring_command(
        "hotlist", "import", "by line", str(file), "--json", server=server.address, code=1
    )
    answer = json.loads(told)
    assert [(row["line"], row["reason"].split(":")[0]) for row in answer["rejected"]] == [
        (3, "BUS01 was read 120 times on one of the last days"),
        (5, "TX* was read 120 times on one of the last days"),
    ]
    assert (answer["unconfirmed_total"], answer["added"]) == (2, 1)
    command = ("hotlist", "import", "by line", str(file), "--confirm-frequent")
    assert "2 added" in ring_command(*command, server=server.address)


def test_without_the_read_side_a_pattern_has_to_be_confirmed(
    start_server: ServerFactory, new_store: NewStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    socket = tmp_path_factory.mktemp("socket") / "read.sock"
    env = {"RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    agency = Agency(server, "police")
    answer = load(agency, "away", "BUS01", "TX*")
    assert answer.added == 1
    (left_out,) = answer.unconfirmed
    assert (left_out.row, left_out.plate) == (2, "TX*")
    assert not left_out.HasField("reads_a_day")
    assert load(agency, "away", "BUS01", "TX*", confirm=True).added == 1
    agency.close()

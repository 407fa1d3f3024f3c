"""Incidents and precision on a whole server, through the `ring` command: from reads to the view of
the command centre, each agency its own."""

import json
import re
from uuid import uuid4

import pytest

from proto.ring.v1 import alert_pb2, alert_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from ring.values import from_micros
from tests.cli.memory_ring import error_of, fails, lines_of, run
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_alert_filters import place
from tests.integration.test_alerts import Subscriber, import_entries, register, send
from tests.vendor import NOW, read

HOUR = 3600


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    env = {"RING_INCIDENT_GAP": "PT2H", "RING_LOOK_BACK": "PT0S"}
    server = start_server(env={**env, "RING_EVENT_STORE": new_store()})
    register(server, "r1", "r2")
    place(server, "GP-01", "Centro")
    return server


def see(server: Server, plate: str, hours: float, reader: str = "r1") -> None:
    one = read(1, plate)
    one.captured_at.CopyFrom(from_micros(int((NOW + hours * HOUR) * 1_000_000)))
    send(server, one, reader=reader)


def test_sightings_become_incidents_with_tracks_states_and_precision(server: Server) -> None:
    import_entries(server, "stolen", HotlistEntry(plate="AB123CD", reason="theft"))
    import_entries(server, "gang", HotlistEntry(plate="AB12?CD", priority="high"))
    subscriber = Subscriber(server, from_beginning=True)
    # In another order than they were seen in; each is two hits, one of each list.
    for plate, hours, reader in (
        ("AB123CD", -1, "r2"),
        ("AB123CD", -8, "r1"),
        ("AB123CD", -3, "r1"),
        ("AB129CD", -2, "r2"),
    ):
        see(server, plate, hours, reader)
    alerts = subscriber.wait(7)
    assert len(alerts) == 7, "each is told, whatever incident it is in"
    subscriber.stop()
    at = {
        (a.hotlist, a.sighting.plate, (a.sighting.captured_at.seconds - NOW) // HOUR): a.alert_id
        for a in alerts
    }
    with server.channel() as channel:
        stub = alert_pb2_grpc.AlertServiceStub(channel)
        for key, disposition in ((-1, "confirmed"), (-3, "misread"), (-8, "confirmed")):
            ended = stub.Resolve(
                alert_pb2.ResolveRequest(
                    alert_id=at["stolen", "AB123CD", key], disposition=disposition
                )
            )
    last = f"{ended.position.log_id}:{ended.position.position}"
    asked = ("incidents", "list", "--json", "--at-least", last)
    found = lines_of(run(*asked, server=server.address))
    tracks = {
        (i["hotlist"], i["plate"], i["track"][0]["alert_id"]): [p["alert_id"] for p in i["track"]]
        for i in found
    }
    expected = [
        ("stolen", "AB123CD", [-3, -1]),
        ("stolen", "AB123CD", [-8]),
        ("gang", "AB123CD", [-3, -1]),
        ("gang", "AB123CD", [-8]),
        ("gang", "AB129CD", [-2]),
    ]
    assert tracks == {
        (name, plate, at[name, plate, hours[0]]): [at[name, plate, hour] for hour in hours]
        for name, plate, hours in expected
    }
    ended_ones = lines_of(run(*asked, "--state", "resolved", server=server.address))
    assert [i["dispositions"] for i in ended_ones] == [["confirmed", "misread"], ["confirmed"]]
    high = lines_of(run(*asked, "--priority", "high", "--zone", "Centro", server=server.address))
    assert {(i["hotlist"], i["plate"]) for i in high} == {("gang", "AB123CD")}

    shown = run("incidents", "show", at["stolen", "AB123CD", -1], server=server.address)
    assert shown.returncode == 0, shown.stderr
    head, *_ = shown.stdout.splitlines()
    assert head == "AB123CD  default/stolen  theft  2 hits  resolved (confirmed, misread)"
    assert re.search(r"GP-01 +Centro .*GP-02", shown.stdout, re.DOTALL)
    table = run("incidents", "list", "--limit", "2", server=server.address)
    assert table.stdout.startswith("2 incidents\n")
    assert "more than 2 incidents" in table.stderr

    (row,) = lines_of(
        run("alerts", "precision", "--list", "stolen", "--json", server=server.address)
    )
    assert (row["raised"], row["confirmed"], row["misread"]) == ("3", "2", "1")
    assert row["share"] == pytest.approx(2 / 3)
    by = run("alerts", "precision", "--by-reader", "--by", "month", server=server.address)
    assert by.returncode == 0, by.stderr
    assert by.stdout.startswith("7 hits\n")


def test_another_agency_sees_no_incident_and_no_precision(server: Server) -> None:
    name = f"other {uuid4()}"
    for command in (("incidents", "list"), ("alerts", "precision")):
        assert lines_of(run(*command, "--json", "--as", name, server=server.address)) == []
    known = lines_of(run("incidents", "list", "--json", server=server.address))
    for incident in known[:1]:
        shown = run(
            "incidents", "show", incident["incident_id"], "--as", name, server=server.address
        )
        assert "there is no alert" in error_of(shown)


def test_what_is_asked_wrongly_is_said_in_one_line() -> None:
    assert "say raised, acknowledged, resolved" in fails("incidents", "list", "--state", "open")[1]
    assert "say day, week or month" in fails("alerts", "precision", "--by", "year")[1]


def test_the_incidents_are_json_with_the_protocols_names(server: Server) -> None:
    plate = f"T{uuid4().hex[:8].upper()}"
    made = import_entries(server, f"json {plate}", HotlistEntry(plate=plate))
    subscriber = Subscriber(server, after=[made.position])
    see(server, plate, -1)
    (alert,) = subscriber.wait(1)
    subscriber.stop()
    last = f"{alert.position.log_id}:{alert.position.position}"
    shown = run(
        "incidents", "show", alert.alert_id, "--json", "--at-least", last, server=server.address
    )
    told = json.loads(shown.stdout)
    assert (told["incident_id"], told["state"]) == (alert.alert_id, "ALERT_STATE_RAISED")
    assert told["track"][0]["zone"] == "Centro"

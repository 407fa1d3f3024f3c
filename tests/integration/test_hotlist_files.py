"""Lists as files: imported, exported as they are or were, and every change of them told."""

import csv
import io
import json
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proto.ring.v1 import hotlist_pb2, hotlist_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry, WeeklyHours
from tests.cli.in_process import ring_command
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_agencies import Agency
from tests.integration.test_alerts import register

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
instants = st.none() | st.integers(-(10**10), 10**10)
plates = st.sampled_from(["AB123CD", "ab 124-cd", "AA000AA", "zz?9*", "*AB*"])
watch_hours = st.builds(
    WeeklyHours,
    weekdays=st.lists(st.integers(1, 7), max_size=4),
    from_minute=st.integers(0, 1439),
    to_minute=st.integers(0, 1440),
)


@st.composite
def entries(draw) -> HotlistEntry:
    entry = HotlistEntry(plate=draw(plates))
    for name in ("reason", "priority", "reference", "region"):
        setattr(entry, name, draw(texts | st.sampled_from(["", "=1+1", "'=1", "''-a", '"', "a;b"])))
    if (begin := draw(instants)) is not None:
        entry.valid_from.FromMicroseconds(begin * 1_000_003)
    if (end := draw(instants)) is not None:
        entry.expires_at.FromMicroseconds(end * 1_000_003)
    entry.checkpoints.extend(draw(st.lists(st.sampled_from(["GP-01", "GP-02"]), max_size=3)))
    entry.hours.extend(draw(st.lists(watch_hours, max_size=2)))
    return entry


@pytest.fixture(scope="module")
def server(
    start_server: ServerFactory, new_store: NewStore, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    socket = tmp_path_factory.mktemp("socket") / "read.sock"
    env = {"RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    register(server, "r1")
    return server


def load(server: Server, name: str, *entries: HotlistEntry) -> hotlist_pb2.ImportEntriesResponse:
    """Makes them the list, all of them confirmed."""
    agency = Agency(server, None)
    answer = agency.load(name, *entries, confirm=True)
    agency.close()
    return answer


def exported(server: Server, name: str, version: int = 0) -> list[HotlistEntry]:
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        request = hotlist_pb2.ExportEntriesRequest(hotlist=name, version=version)
        first, *rest = stub.ExportEntries(request, timeout=60)
    found = [entry for message in rest for entry in message.entries]
    assert first.hotlist.entries == len(found)
    assert not version or first.hotlist.version == version
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(entries(), min_size=1, max_size=6))
def test_what_is_exported_and_imported_again_is_unchanged(
    server: Server, tmp_path_factory: pytest.TempPathFactory, some: list[HotlistEntry]
) -> None:
    name = f"round {uuid4()}"
    file = tmp_path_factory.mktemp("export") / "list.csv"
    before = load(server, name, *some)
    as_it_was = exported(server, name)
    assert [e.plate for e in as_it_was] == sorted(e.plate for e in as_it_was)
    if not before.added:
        return
    ring_command("hotlist", "export", name, str(file), server=server.address)
    told = ring_command(
        "hotlist", "import", name, str(file), "--confirm-frequent", "--json", server=server.address
    )
    answer = json.loads(told)
    assert [answer[k] for k in ("added", "removed", "unchanged", "rejected_total")] == [
        0,
        0,
        before.added,
        0,
    ]
    assert answer["hotlist"]["version"] == "1"
    assert exported(server, name) == as_it_was


def test_every_version_can_be_exported_and_its_change_is_told(
    server: Server, tmp_path: Path
) -> None:
    name = f"versions {uuid4()}"
    first = load(server, name, HotlistEntry(plate="AA111AA"), HotlistEntry(plate="BB222BB"))
    kept = {e.plate: e.entry_id for e in exported(server, name)}
    load(server, name, HotlistEntry(plate="BB222BB"), HotlistEntry(plate="CC333CC", reason="x"))
    load(server, name, HotlistEntry(plate="AA111AA"), HotlistEntry(plate="BB222BB"))
    assert first.hotlist.version == 1
    assert [[e.plate for e in exported(server, name, v)] for v in (1, 2, 3)] == [
        ["AA111AA", "BB222BB"],
        ["BB222BB", "CC333CC"],
        ["AA111AA", "BB222BB"],
    ]
    # An entry keeps its id while it is on the list, and gets another when it comes again.
    now = {e.plate: e.entry_id for e in exported(server, name)}
    assert now["BB222BB"] == kept["BB222BB"]
    assert now["AA111AA"] != kept["AA111AA"]
    file = tmp_path / "then.csv"
    ring_command("hotlist", "export", name, str(file), "--as-of", "2", server=server.address)
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [(row["plate"], row["reason"]) for row in rows] == [("BB222BB", ""), ("CC333CC", "x")]
    told = ring_command("hotlist", "history", name, "--json", server=server.address).splitlines()
    versions = [json.loads(line) for line in told]
    counts = [(int(v.get("added", 0)), int(v.get("removed", 0))) for v in versions]
    assert counts == [(0, 0), (2, 0), (1, 1), (1, 1)]
    assert [v["by"] for v in versions] == ["insecure"] * 4
    assert len({v["digest"] for v in versions[1:]}) == 3
    assert "created" in ring_command("hotlist", "history", name, server=server.address)


def test_a_pattern_is_taken_off_however_it_is_written(server: Server) -> None:
    name = f"patterns {uuid4()}"
    load(server, name, HotlistEntry(plate="ab-12**"), HotlistEntry(plate="AB123CD"))
    remove = ("hotlist", "remove", name, "--plate")
    for written, told in (("AB1*", "0 removed"), ("ab 12**", "1 removed")):
        assert told in ring_command(*remove, written, server=server.address)
    assert [e.plate for e in exported(server, name)] == ["AB123CD"]
    ring_command(*remove, "!!", server=server.address, code=1)


def test_a_file_with_something_else_in_the_plates_column_leaves_the_list_as_it_is(
    server: Server, tmp_path: Path
) -> None:
    name = f"wrong column {uuid4()}"
    load(server, name, HotlistEntry(plate="AA111AA"), HotlistEntry(plate="BB222BB"))
    before = exported(server, name)
    file = tmp_path / "list.csv"
    file.write_text("plate,reason\nAA111AA,¡robado!\nCC333CC,¡robado!\n")
    wrong = ("hotlist", "import", name, str(file), "--map", "plate=reason,reason=plate")
    ring_command(*wrong, server=server.address, code=1)
    assert exported(server, name) == before
    ring_command(*wrong, "--allow-empty", server=server.address, code=1)
    assert exported(server, name) == []


def test_versions_come_in_pages(server: Server) -> None:
    name = f"pages {uuid4()}"
    for number in range(4):
        load(server, name, HotlistEntry(plate=f"AA{number}"))
    request = hotlist_pb2.ListHotlistVersionsRequest(hotlist=name, page_size=2)
    pages = []
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        while True:
            answer = stub.ListHotlistVersions(request, timeout=60)
            pages.append([version.version for version in answer.versions])
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        assert pages == [[0, 1], [2, 3], [4]]
        request.page_token = "x"
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListHotlistVersions(request, timeout=60)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_versions_and_exports_are_for_those_who_may_see_the_list(server: Server) -> None:
    owner, other = Agency(server, f"police {uuid4()}"), Agency(server, f"customs {uuid4()}")
    owner.load("mine", HotlistEntry(plate="AB123CD"))
    agency = owner.metadata[0][1]
    export = hotlist_pb2.ExportEntriesRequest(hotlist="mine", agency=agency)
    versions = hotlist_pb2.ListHotlistVersionsRequest(hotlist="mine", agency=agency)
    with pytest.raises(grpc.RpcError) as caught:
        list(other.ask(other.lists.ExportEntries, export))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert other.refused(other.lists.ListHotlistVersions, versions) is grpc.StatusCode.NOT_FOUND
    found = owner.ask(owner.lists.ListHotlistVersions, versions).versions
    assert [(v.version, v.by) for v in found] == [(0, agency), (1, agency)]
    export.version = 2
    with pytest.raises(grpc.RpcError) as caught:
        list(owner.ask(owner.lists.ExportEntries, export))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    for agency in (owner, other):
        agency.close()


def test_a_long_list_comes_in_messages_of_bounded_size(server: Server) -> None:
    name = f"long {uuid4()}"
    some = [HotlistEntry(plate=f"A{n:05d}", reason="x" * 900) for n in range(4_000)]
    load(server, name, *some)
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        request = hotlist_pb2.ExportEntriesRequest(hotlist=name)
        messages = list(stub.ExportEntries(request, timeout=60))
    assert max(m.ByteSize() for m in messages) < 3 << 20
    assert sum(len(m.entries) for m in messages) == 4_000
    assert [e.plate for m in messages for e in m.entries] == [e.plate for e in some]

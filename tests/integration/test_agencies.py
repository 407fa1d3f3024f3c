"""Two agencies on one ring: neither sees or changes the other's list without a grant."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from proto.ring.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    hotlist_pb2,
    hotlist_pb2_grpc,
    look_back_pb2,
    look_back_pb2_grpc,
)
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import Purpose
from proto.ring.v1.hotlist_pb2 import (
    HOTLIST_KIND_ALLOW,
    HOTLIST_RIGHT_CHANGE,
    HOTLIST_RIGHT_SEE,
)
from proto.ring.v1.look_back_pb2 import LookBack
from tests.cli.in_process import ring_command
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_alerts import register, send
from tests.vendor import read

NOT_FOUND, NOT_ALLOWED = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(scope="module")
def server(
    start_server: ServerFactory, new_store: NewStore, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    socket = tmp_path_factory.mktemp("socket") / "read.sock"
    env = {"RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    register(server, "r1", "r2")
    return server


class Agency:
    """What an agency does, over a channel of its own."""

    def __init__(self, server: Server, name: str | None) -> None:
        self._channel = server.channel()
        self.metadata: list[tuple[str, str]] = [("ring-agency", name)] if name is not None else []
        self.lists = hotlist_pb2_grpc.HotlistServiceStub(self._channel)
        self.alerts = alert_pb2_grpc.AlertServiceStub(self._channel)
        self.history = look_back_pb2_grpc.LookBackServiceStub(self._channel)

    def ask(self, call: Any, request: Any) -> Any:
        return call(request, metadata=self.metadata, timeout=60)

    def refused(self, call: Any, request: Any) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as caught:
            self.ask(call, request)
        return caught.value.code()

    def refused_stream(self, call: Any, request: Any) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as caught:
            list(self.ask(call, request))
        return caught.value.code()

    def load(
        self,
        name: str,
        *entries: HotlistEntry,
        agency: str = "",
        create: bool = True,
        confirm: bool = False,
        back: LookBack | None = None,
    ) -> hotlist_pb2.ImportEntriesResponse:
        header = hotlist_pb2.ImportHeader(
            hotlist=name, agency=agency, create=create, confirm_frequent=confirm, look_back=back
        )
        requests = [
            hotlist_pb2.ImportEntriesRequest(header=header),
            hotlist_pb2.ImportEntriesRequest(entries=entries, last=True),
        ]
        return self.ask(self.lists.ImportEntries, iter(requests))

    def refused_load(self, name: str, **where: Any) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as caught:
            self.load(name, HotlistEntry(plate="ZZ999ZZ"), **where)
        return caught.value.code()

    def names(self) -> list[str]:
        found = self.ask(self.lists.ListHotlists, hotlist_pb2.ListHotlistsRequest()).hotlists
        return [f"{h.agency}/{h.name}" for h in found]

    def told(self, upto: int, **request: Any) -> list[alert_pb2.Alert]:
        """The alerts and updates that it is told of from the beginning up to a position."""
        wanted = alert_pb2.SubscribeRequest(from_beginning=True, include_updates=True, **request)
        call = self.alerts.Subscribe(wanted, metadata=self.metadata, timeout=60)
        found = []
        for message in call:
            if message.HasField("alert"):
                found.append(message.alert)
            elif message.progress.position >= upto:
                break
        call.cancel()
        return found

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def agencies(server: Server) -> Iterator[tuple[Agency, Agency, Agency, str]]:
    """The owner of a list, another one, one with every role, and the owner's name."""
    name = f"police {uuid4()}"
    found = Agency(server, name), Agency(server, f"customs {uuid4()}"), Agency(server, None)
    yield *found, name
    for agency in found:
        agency.close()


def test_another_agencys_list_does_not_exist(server: Server, agencies) -> None:
    police, customs, every, owner = agencies
    plate = f"T{uuid4().hex[:8].upper()}"
    made = police.load("stolen", HotlistEntry(plate=plate))
    assert (made.hotlist.agency, made.hotlist.version) == (owner, 1)
    assert police.names() == [f"{owner}/stolen"]
    assert customs.names() == []
    assert f"{owner}/stolen" in every.names()
    assert customs.refused_load("stolen", agency=owner, create=False) is NOT_FOUND
    assert customs.refused_load("no such", agency=owner, create=False) is NOT_FOUND
    # What it could create tells nothing of what there is.
    assert customs.refused_load("stolen", agency=owner) is NOT_ALLOWED
    assert customs.refused_load("no such", agency=owner) is NOT_ALLOWED
    create = hotlist_pb2.CreateHotlistRequest(name="stolen", agency=owner)
    assert customs.refused(customs.lists.CreateHotlist, create) is NOT_ALLOWED
    remove = hotlist_pb2.RemoveEntriesRequest(hotlist="stolen", agency=owner, plates=[plate])
    assert customs.refused(customs.lists.RemoveEntries, remove) is NOT_FOUND
    grant = hotlist_pb2.GrantHotlistRequest(
        hotlist="stolen", agency=owner, grantee="toll", right=HOTLIST_RIGHT_SEE
    )
    assert customs.refused(customs.lists.GrantHotlist, grant) is NOT_FOUND
    revoke = hotlist_pb2.RevokeGrantRequest(hotlist="stolen", agency=owner, grantee="toll")
    assert customs.refused(customs.lists.RevokeGrant, revoke) is NOT_FOUND
    # Its own list of that name is another one.
    assert customs.load("stolen", HotlistEntry(plate="AA111AA")).hotlist.agency != owner
    assert police.load("stolen", HotlistEntry(plate=plate)).unchanged == 1


def test_another_agencys_alerts_do_not_exist(server: Server, agencies) -> None:
    police, customs, every, owner = agencies
    plate = f"T{uuid4().hex[:8].upper()}"
    police.load("stolen", HotlistEntry(plate=plate))
    send(server, read(1, plate))
    stream = every.alerts.Subscribe(alert_pb2.SubscribeRequest(from_beginning=True), timeout=60)
    raised = next(m.alert for m in stream if m.alert.agency == owner)
    stream.cancel()
    seen = alert_pb2.AcknowledgeRequest(alert_id=raised.alert_id)
    ended = alert_pb2.ResolveRequest(alert_id=raised.alert_id, disposition="confirmed")
    assert customs.refused(customs.alerts.Acknowledge, seen) is NOT_FOUND
    assert customs.refused(customs.alerts.Resolve, ended) is NOT_FOUND
    last = police.ask(police.alerts.Acknowledge, seen).position.position
    assert [a.alert_id for a in police.told(last)] == [raised.alert_id] * 2
    assert customs.told(last) == []
    assert customs.told(last, hotlists=["stolen"]) == []


def test_a_grant_opens_what_it_names_until_it_is_revoked(server: Server, agencies) -> None:
    police, customs, _, owner = agencies
    grantee = customs.metadata[0][1]
    plate = f"T{uuid4().hex[:8].upper()}"
    police.load("stolen", HotlistEntry(plate=plate))
    police.load("secret", HotlistEntry(plate=plate))

    def grant(right: hotlist_pb2.HotlistRight) -> hotlist_pb2.Hotlist:
        request = hotlist_pb2.GrantHotlistRequest(hotlist="stolen", grantee=grantee, right=right)
        return police.ask(police.lists.GrantHotlist, request)

    assert [(g.agency, g.right) for g in grant(HOTLIST_RIGHT_SEE).grants] == [
        (grantee, HOTLIST_RIGHT_SEE)
    ]
    last = send(server, read(1, plate))
    stream = police.alerts.Subscribe(
        alert_pb2.SubscribeRequest(from_beginning=True), metadata=police.metadata, timeout=60
    )
    both = [next(m.alert for m in stream if m.HasField("alert")) for _ in range(2)]
    stream.cancel()
    raised, hidden = sorted(both, key=lambda a: a.hotlist, reverse=True)
    assert (raised.hotlist, hidden.hotlist) == ("stolen", "secret")
    last = max(a.position.position for a in both)
    assert customs.names() == [f"{owner}/stolen"]
    assert [a.alert_id for a in customs.told(last)] == [raised.alert_id]
    seen = alert_pb2.AcknowledgeRequest(alert_id=raised.alert_id)
    assert customs.refused(customs.alerts.Acknowledge, seen) is NOT_ALLOWED
    assert customs.refused_load("stolen", agency=owner) is NOT_ALLOWED
    grant(HOTLIST_RIGHT_CHANGE)
    customs.ask(customs.alerts.Acknowledge, seen)
    assert customs.load("stolen", HotlistEntry(plate="AB123CD"), agency=owner).removed == 1
    toll = hotlist_pb2.GrantHotlistRequest(
        hotlist="stolen", agency=owner, grantee="toll", right=HOTLIST_RIGHT_SEE
    )
    assert customs.refused(customs.lists.GrantHotlist, toll) is NOT_ALLOWED
    hidden_seen = alert_pb2.AcknowledgeRequest(alert_id=hidden.alert_id)
    assert customs.refused(customs.alerts.Acknowledge, hidden_seen) is NOT_FOUND
    revoke = hotlist_pb2.RevokeGrantRequest(hotlist="stolen", grantee=grantee)
    assert not police.ask(police.lists.RevokeGrant, revoke).grants
    assert police.refused(police.lists.RevokeGrant, revoke) is NOT_FOUND
    assert (customs.names(), customs.told(last)) == ([], [])
    assert customs.refused_load("stolen", agency=owner, create=False) is NOT_FOUND


def test_a_dry_run_and_a_replay_tell_nothing_of_another_agencys_lists(
    server: Server, agencies
) -> None:
    """What a dry run leaves out would tell what is on an allow-list."""
    police, customs, every, owner = agencies
    plate = f"T{uuid4().hex[:8].upper()}"
    known = hotlist_pb2.CreateHotlistRequest(name="known", kind=HOTLIST_KIND_ALLOW)
    police.ask(police.lists.CreateHotlist, known)
    police.load("known", HotlistEntry(plate=plate))
    police.load("stolen", HotlistEntry(plate="ZZ111ZZ"))
    purpose = Purpose(case_number="C-7", reason="test")
    entries = [HotlistEntry(plate=plate)]

    def check(**where: str) -> hotlist_pb2.CheckHistoryRequest:
        return hotlist_pb2.CheckHistoryRequest(purpose=purpose, entries=entries, **where)

    as_if_new, as_if_listed = check(agency=owner), check(agency=owner, hotlist="stolen")
    assert customs.refused_stream(customs.lists.CheckHistory, as_if_new) is NOT_ALLOWED
    replay = look_back_pb2.ReplayHotlistRequest(purpose=purpose, hotlist="stolen", agency=owner)
    absent = look_back_pb2.ReplayHotlistRequest(purpose=purpose, hotlist="absent", agency=owner)
    assert customs.refused_stream(customs.lists.CheckHistory, as_if_listed) is NOT_FOUND
    for request in (replay, absent):
        assert customs.refused_stream(customs.history.ReplayHotlist, request) is NOT_FOUND
    grant = hotlist_pb2.GrantHotlistRequest(
        hotlist="stolen", grantee=customs.metadata[0][1], right=HOTLIST_RIGHT_SEE
    )
    police.ask(police.lists.GrantHotlist, grant)
    # It may see the list and what was raised, but not what would be silenced.
    assert customs.refused_stream(customs.lists.CheckHistory, as_if_listed) is NOT_ALLOWED
    assert list(customs.ask(customs.history.ReplayHotlist, replay))
    # The read side is away here: what is allowed comes so far as to ask it.
    away = grpc.StatusCode.UNAVAILABLE
    for agency, request in ((customs, check()), (police, as_if_new), (every, as_if_listed)):
        assert agency.refused_stream(agency.lists.CheckHistory, request) is away


def test_looking_back_is_granted_by_itself(server: Server, agencies) -> None:
    police, customs, every, owner = agencies
    grantee = customs.metadata[0][1]
    asked = LookBack(purpose=Purpose(case_number="C-7", reason="test"))
    numbers = itertools.count()

    def plate() -> HotlistEntry:
        return HotlistEntry(plate=f"T{uuid4().hex[:8].upper()}", reference=str(next(numbers)))

    def grant(right: hotlist_pb2.HotlistRight, *, look_back: bool) -> Any:
        return hotlist_pb2.GrantHotlistRequest(
            hotlist="stolen", grantee=grantee, right=right, look_back=look_back
        )

    def looks_back(agency: Agency, back: LookBack | None = None) -> tuple[bool, bool]:
        answer = agency.load("stolen", plate(), agency=owner, back=back)
        return bool(answer.look_back_id), answer.look_back_denied

    for agency in (police, every):
        assert looks_back(agency) == looks_back(agency, asked) == (True, False)
    only = police.ask(police.lists.GrantHotlist, grant(HOTLIST_RIGHT_CHANGE, look_back=False))
    assert [g.look_back for g in only.grants] == [False]
    # What it does not ask for is left out and told; what it asks for is refused, as a whole.
    assert looks_back(customs) == (False, True)
    assert looks_back(customs, LookBack(period=Duration(seconds=0))) == (False, False)
    version = police.load("stolen", plate()).hotlist.version
    assert customs.refused_load("stolen", agency=owner, back=asked) is NOT_ALLOWED
    assert police.load("stolen", plate()).hotlist.version == version + 1
    both = police.ask(police.lists.GrantHotlist, grant(HOTLIST_RIGHT_CHANGE, look_back=True))
    assert [(g.right, g.look_back) for g in both.grants] == [(HOTLIST_RIGHT_CHANGE, True)]
    assert looks_back(customs) == looks_back(customs, asked) == (True, False)
    # A second grant takes the place of the first, in this as well.
    police.ask(police.lists.GrantHotlist, grant(HOTLIST_RIGHT_CHANGE, look_back=False))
    assert looks_back(customs) == (False, True)
    see = grant(HOTLIST_RIGHT_SEE, look_back=True)
    refused = police.refused(police.lists.GrantHotlist, see)
    assert refused is grpc.StatusCode.INVALID_ARGUMENT
    # Its own lists are its own.
    assert customs.load("own", plate(), back=asked).look_back_id


def test_a_subscriber_loses_what_was_revoked_while_it_listens(server: Server, agencies) -> None:
    police, customs, _, _ = agencies
    plate = f"T{uuid4().hex[:8].upper()}"
    police.load("stolen", HotlistEntry(plate=plate))
    grantee = customs.metadata[0][1]
    grant = hotlist_pb2.GrantHotlistRequest(
        hotlist="stolen", grantee=grantee, right=HOTLIST_RIGHT_SEE
    )
    police.ask(police.lists.GrantHotlist, grant)
    stream = customs.alerts.Subscribe(
        alert_pb2.SubscribeRequest(), metadata=customs.metadata, timeout=60
    )
    next(stream)  # it listens
    send(server, read(1, plate))
    first = next(m.alert for m in stream if m.HasField("alert"))
    revoke = hotlist_pb2.RevokeGrantRequest(hotlist="stolen", grantee=grantee)
    police.ask(police.lists.RevokeGrant, revoke)
    send(server, read(1, plate), reader="r2")
    owns = police.alerts.Subscribe(
        alert_pb2.SubscribeRequest(after=[first.position]), metadata=police.metadata, timeout=60
    )
    second = next(m.alert for m in owns if m.HasField("alert"))
    owns.cancel()
    for message in stream:
        assert not message.HasField("alert")
        if message.progress.position >= second.position.position:
            break
    stream.cancel()


@pytest.mark.parametrize("metadata", [[""], ["police", "police"], ["a/b"], [" "]])
def test_what_is_no_agency_is_refused_and_never_every_role(server: Server, metadata) -> None:
    agency = Agency(server, None)
    agency.metadata = [("ring-agency", value) for value in metadata]
    code = agency.refused(agency.lists.ListHotlists, hotlist_pb2.ListHotlistsRequest())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as caught:
        agency.told(0)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    agency.close()


def test_a_grant_to_oneself_or_of_no_right_is_refused(agencies) -> None:
    police, _, _, owner = agencies
    police.load("stolen", HotlistEntry(plate="AB123CD"))
    for grantee, right in ((owner, HOTLIST_RIGHT_SEE), ("toll", 0), ("to/ll", HOTLIST_RIGHT_SEE)):
        request = hotlist_pb2.GrantHotlistRequest(hotlist="stolen", grantee=grantee, right=right)
        code = police.refused(police.lists.GrantHotlist, request)
        assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_the_command_acts_for_an_agency(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, other = f"police {uuid4()}", f"customs {uuid4()}"
    file = tmp_path / "list.csv"
    file.write_text("plate\nAB123CD\n")

    def ring(*arguments: str, code: int = 0) -> str:
        return ring_command(*arguments, server=server.address, code=code)

    assert f"{owner}/stolen has 1 entry" in ring(
        "hotlist", "import", "stolen", str(file), "--as", owner
    )
    assert "0 hotlists" in ring("hotlist", "list", "--as", other)
    told = ring("hotlist", "grant", "stolen", other, "--as", owner)
    assert told == f"{owner}/stolen: {other} may see\n"
    # The setting stands in for the option; the option goes before it.
    monkeypatch.setenv("RING_AGENCY", other)
    assert "stolen" in ring("hotlist", "list")
    assert "stolen" in ring("hotlist", "list", "--as", owner)
    ring("hotlist", "import", "stolen", str(file), "--agency", owner, code=1)
    ring("hotlist", "grant", "stolen", other, "--right", "change", "--as", owner)
    file.write_text("plate\nAB124CD\n")
    told = ring("hotlist", "import", "stolen", str(file), "--agency", owner)
    assert f"not looked back: {owner} lets you change the list" in told
    also = ("--right", "change", "--look-back", "--as", owner)
    told = ring("hotlist", "grant", "stolen", other, *also)
    assert told == f"{owner}/stolen: {other} may change and look back\n"
    file.write_text("plate\nAB125CD\n")
    back = ("--look-back", "7d")
    told = ring("hotlist", "import", "stolen", str(file), "--agency", owner, *back)
    assert "looking back: see ring look-back show" in told
    ring("hotlist", "grant", "stolen", other, "--agency", owner, code=1)
    told = ring("hotlist", "revoke-grant", "stolen", other, "--as", owner)
    assert told == f"{owner}/stolen: granted to nobody\n"
    assert "0 hotlists" in ring("hotlist", "list")
    ring("hotlist", "list", "--as", "", code=2)
    ring("hotlist", "grant", "stolen", other, "--right", "own", "--as", owner, code=2)


def test_alerts_are_followed_and_acknowledged_for_an_agency(server: Server, agencies) -> None:
    police, customs, _, owner = agencies
    (other,) = (value for _, value in customs.metadata)
    plate = f"T{uuid4().hex[:8].upper()}"
    for agency in (police, customs):
        agency.load("stolen", HotlistEntry(plate=plate))
    upto = send(server, read(1, plate)) + 2

    for agency, name in ((customs, other), (police, owner)):
        (alert,) = agency.told(upto)
        told = ring_command(
            *("alerts", "--from-beginning", "--count", "1", "--json", "--as", name),
            server=server.address,
        )
        assert json.loads(told)["alert"]["alert_id"] == alert.alert_id
        assert json.loads(told)["alert"]["agency"] == name

    # What is given with the group holds for the command after it, unless that has its own.
    def acknowledge(*arguments: str, code: int = 0) -> None:
        ring_command("alerts", *arguments, server=server.address, code=code)

    acknowledge("--as", other, "acknowledge", alert.alert_id, code=1)
    acknowledge("--as", owner, "acknowledge", alert.alert_id, "--as", other, code=1)
    acknowledge("--as", other, "acknowledge", alert.alert_id, "--as", owner)
    acknowledge("--as", owner, "acknowledge", alert.alert_id)
    acknowledge("acknowledge", alert.alert_id)

"""Every call that takes or tells anything of lists, made by an agency that has no business there:
another's is spoken of in the words of what does not exist, and nothing of it changes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor

from proto.ring.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    hotlist_pb2,
    hotlist_pb2_grpc,
    incident_pb2,
    incident_pb2_grpc,
    look_back_pb2,
    look_back_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)
from proto.ring.v1.alert_pb2 import Alert, HotlistEntry
from proto.ring.v1.common_pb2 import Purpose
from proto.ring.v1.hotlist_pb2 import (
    HOTLIST_KIND_ALLOW,
    HOTLIST_RIGHT_CHANGE,
    HOTLIST_RIGHT_SEE,
    HotlistPolicy,
)
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_agencies import Agency
from tests.integration.test_alerts import register, send
from tests.vendor import read

PURPOSE = Purpose(case_number="C-7", reason="test")
PLATE = "AB123CD"
# A receiver that is never there.
URL = "http://127.0.0.1:9/"


@dataclass
class Things:
    """What a call is about: a list, its owner, an alert, a looking back and a webhook."""

    owner: str
    hotlist: str
    alert: str
    look_back: str
    webhook: str
    entry: str

    def hidden(self, text: str) -> str:
        """A message without their names."""
        for name in (self.owner, self.hotlist, self.alert, self.look_back, self.webhook):
            text = text.replace(name, "…")
        return text


def one_import(it: Things) -> Iterator[hotlist_pb2.ImportEntriesRequest]:
    header = hotlist_pb2.ImportHeader(hotlist=it.hotlist, agency=it.owner)
    return iter(
        [
            hotlist_pb2.ImportEntriesRequest(header=header),
            hotlist_pb2.ImportEntriesRequest(entries=[HotlistEntry(plate="ZZ999ZZ")], last=True),
        ]
    )


def of_list(request: Callable[..., Any], **more: Any) -> Callable[[Things], Any]:
    return lambda it: request(hotlist=it.hotlist, agency=it.owner, **more)


CALLS: dict[str, Callable[[Things], Any]] = {
    "CreateHotlist": lambda it: hotlist_pb2.CreateHotlistRequest(name=it.hotlist, agency=it.owner),
    "ImportEntries": one_import,
    "ExportEntries": of_list(hotlist_pb2.ExportEntriesRequest),
    "ListHotlistVersions": of_list(hotlist_pb2.ListHotlistVersionsRequest),
    "RemoveEntries": of_list(hotlist_pb2.RemoveEntriesRequest, plates=[PLATE]),
    "ChangePolicy": of_list(hotlist_pb2.ChangePolicyRequest, policy=HotlistPolicy(threshold=1)),
    "ListHotlists": lambda _: hotlist_pb2.ListHotlistsRequest(),
    "GrantHotlist": of_list(
        hotlist_pb2.GrantHotlistRequest, grantee="toll", right=HOTLIST_RIGHT_SEE
    ),
    "RevokeGrant": of_list(hotlist_pb2.RevokeGrantRequest, grantee="toll"),
    "CheckHistory": of_list(
        hotlist_pb2.CheckHistoryRequest, purpose=PURPOSE, entries=[HotlistEntry(plate=PLATE)]
    ),
    "Subscribe": lambda it: alert_pb2.SubscribeRequest(
        from_beginning=True, hotlists=[it.hotlist], agencies=[it.owner], include_updates=True
    ),
    "Acknowledge": lambda it: alert_pb2.AcknowledgeRequest(alert_id=it.alert),
    "Resolve": lambda it: alert_pb2.ResolveRequest(alert_id=it.alert, disposition="misread"),
    "ListIncidents": lambda it: incident_pb2.ListIncidentsRequest(
        hotlists=[it.hotlist], agencies=[it.owner], entry_id=it.entry, plate=PLATE
    ),
    "GetIncident": lambda it: incident_pb2.GetIncidentRequest(alert_id=it.alert),
    "GetPrecision": lambda it: incident_pb2.GetPrecisionRequest(
        hotlists=[it.hotlist], agencies=[it.owner], by_reader=True
    ),
    "ListLookBacks": lambda it: look_back_pb2.ListLookBacksRequest(look_back_id=it.look_back),
    "ReplayHotlist": of_list(look_back_pb2.ReplayHotlistRequest, purpose=PURPOSE),
    "AddWebhook": lambda it: webhook_pb2.AddWebhookRequest(
        url=URL, filter={"hotlists": [it.hotlist], "agencies": [it.owner]}, from_beginning=True
    ),
    "ListWebhooks": lambda _: webhook_pb2.ListWebhooksRequest(),
    "RemoveWebhook": lambda it: webhook_pb2.RemoveWebhookRequest(webhook_id=it.webhook),
    "ListDeadLetters": lambda it: webhook_pb2.ListDeadLettersRequest(webhook_id=it.webhook),
    "ResendDeadLetters": lambda it: webhook_pb2.ResendDeadLettersRequest(webhook_id=it.webhook),
}
SERVICES: tuple[tuple[ServiceDescriptor, Any], ...] = (
    (hotlist_pb2.DESCRIPTOR.services_by_name["HotlistService"],
     hotlist_pb2_grpc.HotlistServiceStub),
    (alert_pb2.DESCRIPTOR.services_by_name["AlertService"], alert_pb2_grpc.AlertServiceStub),
    (incident_pb2.DESCRIPTOR.services_by_name["IncidentService"],
     incident_pb2_grpc.IncidentServiceStub),
    (look_back_pb2.DESCRIPTOR.services_by_name["LookBackService"],
     look_back_pb2_grpc.LookBackServiceStub),
    (webhook_pb2.DESCRIPTOR.services_by_name["WebhookService"],
     webhook_pb2_grpc.WebhookServiceStub),
)  # fmt: skip
LISTING = ("ListHotlists", "ListIncidents", "GetPrecision", "ListLookBacks", "ListWebhooks")
CHANGING = ("ImportEntries", "RemoveEntries", "CheckHistory", "Acknowledge", "Resolve")
OWNING = ("ChangePolicy", "GrantHotlist", "RevokeGrant")
SEEING = ("ExportEntries", "ListHotlistVersions", "GetIncident", "ReplayHotlist")
BY_WEBHOOK = ("RemoveWebhook", "ListDeadLetters", "ResendDeadLetters")


class Asking:
    """Makes any of the calls for an agency; what comes of it as (code, message, answers)."""

    def __init__(self, server: Server, agency: Agency) -> None:
        self._metadata = agency.metadata
        self._channel = server.channel()
        self._stubs = {
            method.name: getattr(stub(self._channel), method.name)
            for service, stub in SERVICES
            for method in service.methods
        }

    def __call__(self, name: str, it: Things) -> tuple[grpc.StatusCode, str, list[Any]]:
        request = CALLS[name](it)
        try:
            answer = self._stubs[name](request, metadata=self._metadata, timeout=60)
            answers = list(answer) if hasattr(answer, "__next__") else [answer]
        except grpc.RpcError as error:
            refusal: Any = error
            return refusal.code(), it.hidden(refusal.details()), []
        return grpc.StatusCode.OK, "", answers

    def close(self) -> None:
        self._channel.close()


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, "r1")
    return server


def state_of(police: Agency, ask: Asking, it: Things) -> Any:
    """All that its owner is told of a list and its alerts."""
    told = [ask(name, it) for name in (*SEEING, *LISTING)]
    for _, _, answers in told:
        for hook in getattr(answers[0], "webhooks", ()) if answers else ():
            # How far it has come by itself.
            for field in ("position", "attempts", "trouble"):
                hook.ClearField(field)
    return told, [(a.alert_id, a.state) for a in police.told(_head(ask, it))]


def test_another_agencys_things_are_as_if_they_were_not_there(server: Server) -> None:
    assert CALLS.keys() == {method.name for service, _ in SERVICES for method in service.methods}
    owner = f"police {uuid4()}"
    police, customs = Agency(server, owner), Agency(server, f"customs {uuid4()}")
    as_police, as_customs = Asking(server, police), Asking(server, customs)
    send(server, read(1, PLATE))
    loaded = police.load("stolen", HotlistEntry(plate=PLATE, reason="secret"))
    known = hotlist_pb2.CreateHotlistRequest(name="known", kind=HOTLIST_KIND_ALLOW)
    police.ask(police.lists.CreateHotlist, known)
    alert = _first(police)
    hooks = webhook_pb2_grpc.WebhookServiceStub(police._channel)
    hook = police.ask(hooks.AddWebhook, webhook_pb2.AddWebhookRequest(url=URL)).webhook
    real = Things(
        owner, "stolen", alert.alert_id, loaded.look_back_id, hook.webhook_id, alert.entry.entry_id
    )
    absent = Things(f"army {uuid4()}", "no such list", *(str(uuid4()) for _ in range(4)))
    # Once the read side has the alert.
    incidents = incident_pb2_grpc.IncidentServiceStub(police._channel)
    police.ask(
        incidents.GetIncident,
        incident_pb2.GetIncidentRequest(alert_id=alert.alert_id, at_least=[alert.position]),
    )
    before = state_of(police, as_police, real)
    for name in CALLS.keys() - {"Subscribe", "AddWebhook"}:
        there = as_customs(name, real)
        assert there == as_customs(name, absent), name
        code, told, answers = there
        if name in LISTING:
            assert (code, answers) == (grpc.StatusCode.OK, [type(answers[0])()]), name
        else:
            refused = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)
            assert code in refused, (name, told)
    head = _head(as_police, real)
    assert customs.told(head, hotlists=["stolen"], agencies=[owner]) == []
    assert state_of(police, as_police, real) == before

    def grant(right: hotlist_pb2.HotlistRight) -> None:
        request = hotlist_pb2.GrantHotlistRequest(
            hotlist="stolen", grantee=customs.metadata[0][1], right=right
        )
        police.ask(police.lists.GrantHotlist, request)

    # Seeing is seeing, and no more; a webhook stays its agency's.
    grant(HOTLIST_RIGHT_SEE)
    before = state_of(police, as_police, real)
    for name in SEEING:
        assert as_customs(name, real)[0] is grpc.StatusCode.OK, name
    for name in (*CHANGING, *OWNING):
        assert as_customs(name, real)[0] is grpc.StatusCode.PERMISSION_DENIED, name
    for name in BY_WEBHOOK:
        assert as_customs(name, real) == as_customs(name, absent), name
    assert state_of(police, as_police, real) == before
    # Who may change it is still not its owner.
    grant(HOTLIST_RIGHT_CHANGE)
    for name in OWNING:
        assert as_customs(name, real)[0] is grpc.StatusCode.PERMISSION_DENIED, name
    for name in CHANGING:
        assert as_customs(name, real)[0] is grpc.StatusCode.OK, name
    for name in BY_WEBHOOK:
        assert as_customs(name, real) == as_customs(name, absent), name
    for each in (as_police, as_customs, police, customs):
        each.close()


def _head(ask: Asking, it: Things) -> int:
    answers = ask("ReplayHotlist", it)[2]
    return max(answer.progress.head for answer in answers)


def _first(agency: Agency) -> Alert:
    call = agency.alerts.Subscribe(
        alert_pb2.SubscribeRequest(from_beginning=True), metadata=agency.metadata, timeout=60
    )
    found = next(message.alert for message in call if message.HasField("alert"))
    call.cancel()
    return found

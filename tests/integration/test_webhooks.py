"""Webhooks against real HTTP servers: signed, tried again, at least once, dead letters, no hook in
another's way; and kills of the server at any moment."""

import itertools
import random
import threading
from collections.abc import Iterator
from uuid import uuid4

import grpc
import pytest

from proto.ring.v1 import alert_pb2, hotlist_pb2, webhook_pb2, webhook_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from ring.store import open_log
from tests.cli.memory_ring import error_of, lines_of, run
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_agencies import Agency
from tests.integration.test_alerts import register, send
from tests.vendor import read
from tests.webhooks import Hooks, Receiver, is_signed, until

ATTEMPTS = 3
QUICK = {"RING_WEBHOOK_PAUSE": "PT0.002S", "RING_WEBHOOK_ATTEMPTS": str(ATTEMPTS)}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def server(
    start_server: ServerFactory, new_store: NewStore, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    return start(start_server, new_store, tmp_path_factory)


def start(
    start_server: ServerFactory, new_store: NewStore, folders: pytest.TempPathFactory
) -> Server:
    socket = folders.mktemp("socket") / "read.sock"
    env = {**QUICK, "RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    register(server, "r1", "r2")
    return server


@pytest.fixture
def hooks(server: Server) -> Iterator[Hooks]:
    hooks = Hooks(server)
    yield hooks
    hooks.close()


def test_an_alert_is_posted_signed_with_its_id_as_key(hooks: Hooks, receiver: Receiver) -> None:
    made = hooks.add(receiver.url())
    hooks.hits(5)
    posts = receiver.arrived(5)
    assert [post.alert for post in posts] == hooks.told(5)
    assert [post.key for post in posts] == [post.alert.alert_id for post in posts]
    assert all(is_signed(post, made.secret) for post in posts)
    assert not is_signed(posts[0], made.secret + "x")
    assert {post.headers["Ring-Webhook"] for post in posts} == {made.webhook.webhook_id}
    id_, last = made.webhook.webhook_id, posts[-1].alert.position.position
    state = until(lambda: (now := hooks.state(id_)).position.position >= last and now)
    assert (state.dead_letters, state.trouble) == (0, "")


def test_what_is_refused_is_tried_again_the_same(hooks: Hooks, receiver: Receiver) -> None:
    answers = itertools.chain([500, 404], itertools.repeat(200))
    receiver.answer = lambda _: next(answers)
    made = hooks.add(receiver.url())
    hooks.hits(2)
    receiver.arrived(2)
    first, second, third, fourth = receiver.posts
    assert first.key == second.key == third.key != fourth.key
    assert first.body == second.body == third.body
    assert all(is_signed(post, made.secret) for post in receiver.posts)
    assert not hooks.dead(made.webhook.webhook_id)


def test_what_is_refused_for_good_is_a_dead_letter_until_it_is_sent_again(
    hooks: Hooks, receiver: Receiver, server: Server
) -> None:
    poison = threading.Event()
    receiver.answer = lambda post: 302 if post.path == "/hook" and not poison.is_set() else 200
    id_ = hooks.add(receiver.url()).webhook.webhook_id
    hooks.hits(3)
    dead = until(lambda: len(found := hooks.dead(id_)) == 3 and found)
    assert [letter.alert_id for letter in dead] == [alert.alert_id for alert in hooks.told(3)]
    assert {letter.attempts for letter in dead} == {ATTEMPTS}
    assert dead[0].reason == "answered 302: redirects are not followed"
    assert len(receiver.posts) == 3 * ATTEMPTS
    assert {post.path for post in receiver.posts} == {"/hook"}
    poison.set()
    with pytest.raises(grpc.RpcError) as caught:
        hooks.resend(id_, str(uuid4()))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert hooks.resend(id_, dead[1].alert_id) == 1
    until(lambda: len(hooks.dead(id_)) == 2)
    assert receiver.keys[-1] == dead[1].alert_id
    assert hooks.resend(id_) == 2
    until(lambda: not hooks.dead(id_))
    assert set(receiver.keys) == {letter.alert_id for letter in dead}
    assert hooks.resend(id_) == 0


def test_a_receiver_that_is_away_is_waited_for(hooks: Hooks, receiver: Receiver) -> None:
    receiver.stop()
    id_ = hooks.add(receiver.url()).webhook.webhook_id
    hooks.hits(3)
    state = until(lambda: (s := hooks.state(id_)).attempts > ATTEMPTS and s)
    assert state.trouble == "nobody answers at that address"
    receiver.answer = lambda _: next(answers)
    answers = itertools.chain([503] * (ATTEMPTS + 1), itertools.repeat(200))
    receiver.start()
    posts = receiver.arrived(3)
    assert [post.alert for post in posts] == hooks.told(3)
    assert not hooks.dead(id_)


def test_one_that_hangs_holds_up_no_other(hooks: Hooks, receiver: Receiver) -> None:
    released = threading.Event()
    hanging = Receiver(answer=lambda _: (released.wait(60) and 200) or 500)
    try:
        hooks.add(hanging.url())
        hooks.add(receiver.url())
        hooks.hits(20)
        assert [post.alert for post in receiver.arrived(20)] == hooks.told(20)
        assert not hanging.posts
    finally:
        released.set()
    hanging.arrived(20)
    hanging.stop()


def test_filters_updates_and_agencies_are_a_subscribers(
    server: Server, hooks: Hooks, receiver: Receiver
) -> None:
    police, customs = (Agency(server, f"{name} {uuid4()}") for name in ("police", "customs"))
    police.load("stolen", HotlistEntry(plate=hooks.plate, priority="high"))
    police.load("low", HotlistEntry(plate=hooks.plate, priority="low"))
    for agency, path in ((police, "/police"), (customs, "/customs")):
        request = webhook_pb2.AddWebhookRequest(
            url=receiver.url(path),
            filter=webhook_pb2.AlertFilter(
                priorities=["high"], checkpoints=["GP-01"], include_updates=True
            ),
        )
        stub = webhook_pb2_grpc.WebhookServiceStub(agency._channel)
        made = agency.ask(stub.AddWebhook, request)
        others = agency.ask(stub.ListWebhooks, webhook_pb2.ListWebhooksRequest()).webhooks
        assert [webhook.webhook_id for webhook in others] == [made.webhook.webhook_id]
    foreign = webhook_pb2.RemoveWebhookRequest(webhook_id=made.webhook.webhook_id)
    stub = webhook_pb2_grpc.WebhookServiceStub(police._channel)
    assert police.refused(stub.RemoveWebhook, foreign) is grpc.StatusCode.NOT_FOUND
    hooks.add(receiver.url("/all"))
    hooks.hits(1)
    send(server, read(1, hooks.plate), reader="r2")
    (raised,) = (post.alert for post in receiver.arrived(3) if post.path == "/police")
    seen = alert_pb2.AcknowledgeRequest(alert_id=raised.alert_id)
    police.ask(police.alerts.Acknowledge, seen)
    ended = alert_pb2.ResolveRequest(alert_id=raised.alert_id, disposition="confirmed")
    last = police.ask(police.alerts.Resolve, ended)
    receiver.arrived(5)
    posts = [post for post in receiver.posts if post.path == "/police"]
    assert [post.key.removeprefix(raised.alert_id) for post in posts] == [
        "",
        "/acknowledged",
        "/resolved",
    ]
    assert posts[-1].alert == last
    assert (raised.hotlist, raised.sighting.checkpoint) == ("stolen", "GP-01")
    assert "/customs" not in {post.path for post in receiver.posts}
    police.close()
    customs.close()


def test_an_agency_may_have_64_whatever_others_have(server: Server) -> None:
    police, customs = (Agency(server, f"{name} {uuid4()}") for name in ("police", "customs"))
    request = webhook_pb2.AddWebhookRequest(url="https://127.0.0.1:9/")
    added = []
    for agency in (police, customs):
        stub = webhook_pb2_grpc.WebhookServiceStub(agency._channel)
        for _ in range(64 if agency is police else 1):
            webhook = agency.ask(stub.AddWebhook, request).webhook
            added.append((agency, stub.RemoveWebhook, webhook.webhook_id))
        if agency is police:
            refused = agency.refused(stub.AddWebhook, request)
            assert refused is grpc.StatusCode.FAILED_PRECONDITION
    for agency, remove, id_ in added:
        agency.ask(remove, webhook_pb2.RemoveWebhookRequest(webhook_id=id_))
    police.close()
    customs.close()


def test_a_revoked_grant_stops_what_waits_for_a_receiver(
    server: Server, hooks: Hooks, receiver: Receiver
) -> None:
    """Neither the alert that is being tried nor the page behind it goes out any more."""
    police, customs = (Agency(server, f"{name} {uuid4()}") for name in ("police", "customs"))
    police.load("stolen", HotlistEntry(plate=hooks.plate))
    grantee = customs.metadata[0][1]

    def grant() -> None:
        police.ask(
            police.lists.GrantHotlist,
            hotlist_pb2.GrantHotlistRequest(
                hotlist="stolen", grantee=grantee, right=hotlist_pb2.HOTLIST_RIGHT_SEE
            ),
        )

    def revoke() -> None:
        request = hotlist_pb2.RevokeGrantRequest(hotlist="stolen", grantee=grantee)
        police.ask(police.lists.RevokeGrant, request)

    grant()
    receiver.answer = lambda post: 503 if post.path == "/away" else 410
    stub = webhook_pb2_grpc.WebhookServiceStub(customs._channel)

    def add(path: str) -> str:
        request = webhook_pb2.AddWebhookRequest(url=receiver.url(path))
        return customs.ask(stub.AddWebhook, request).webhook.webhook_id

    away, refuses = add("/away"), add("/refuses")
    hooks.hits(2)
    until(lambda: len(hooks.dead(refuses)) == 2)
    hooks.hits(2)
    until(lambda: hooks.state(away).attempts > 1)
    until(lambda: len(hooks.dead(refuses)) == 4)
    revoke()
    # Once the attempt that was under way has ended it goes on, without any of them.
    last = hooks.told(4)[-1].position.position
    until(lambda: hooks.state(away).position.position >= last)
    before = list(receiver.keys)
    receiver.answer = lambda _: 200
    assert hooks.resend(refuses) == 4
    until(lambda: not hooks.state(refuses).resending)
    assert {letter.reason for letter in hooks.dead(refuses)} == {
        "the list it is of is not granted any more"
    }
    assert receiver.keys == before
    assert not hooks.dead(away)
    # Granted anew, the dead letters can go, and new alerts do; what was left out does not come.
    grant()
    assert hooks.resend(refuses) == 4
    until(lambda: not hooks.dead(refuses))
    hooks.hits(1)
    until(lambda: len({post.key for post in receiver.posts if post.path == "/away"}) == 2)
    police.close()
    customs.close()


def test_kills_at_any_moment_lose_nothing(
    start_server: ServerFactory, new_store: NewStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The server is killed again and again while alerts come in and the receiver fails."""
    server = start(start_server, new_store, tmp_path_factory)
    hooks = Hooks(server)
    rng = random.Random(1)
    fails = Receiver(answer=lambda _: rng.choice([200, 200, 500]))
    well = Receiver()
    ids = [hooks.add(each.url()).webhook.webhook_id for each in (fails, well)]
    expected = 0
    for _ in range(4):
        hooks.hits(20)
        expected += 20
        # Wherever it is then: in the middle of it, as a rule.
        until(lambda: len(set(well.keys)) > expected - 20 + rng.randrange(20))  # noqa: B023
        server.kill()
        server.start()
    told = hooks.told(expected)
    assert [post.alert for post in well.arrived(expected)] == told
    # What was sent again was the same; a kill repeats at most the one that was under way.
    assert len({(post.key, post.body) for post in well.posts}) == expected
    assert len(well.posts) <= expected + 4
    until(lambda: hooks.state(ids[0]).position.position >= told[-1].position.position)
    hooks.resend(ids[0])
    until(lambda: not hooks.state(ids[0]).resending)
    lost = {alert.alert_id for alert in told} - set(fails.keys)
    assert not lost
    hooks.close()
    for each in (fails, well):
        each.stop()


def test_the_secret_is_in_no_log_and_no_event(
    start_server: ServerFactory,
    new_store: NewStore,
    tmp_path_factory: pytest.TempPathFactory,
    receiver: Receiver,
) -> None:
    server = start(start_server, new_store, tmp_path_factory)
    made = lines_of(run("webhooks", "add", receiver.url(), "--json", server=server.address))[0]
    id_ = made["webhook"]["webhook_id"]
    hooks = Hooks(server)
    hooks.hits(1)
    assert is_signed(receiver.arrived(1)[0], made["secret"])
    (listed,) = lines_of(run("webhooks", "list", "--json", server=server.address))
    assert listed["url"] == receiver.url()
    server.stop()
    said = "".join(server.log).encode()
    kept = b"".join(path.read_bytes() for path in server.data.rglob("*") if path.is_file())
    log = open_log(server.event_store)
    for event in log.select_notifications(0, 10_000):
        kept += str(event.originator_id).encode() + event.state
    log.close()
    key = (server.data / "webhooks.key").read_bytes()
    assert id_.encode() in kept
    for hidden in (made["secret"].encode(), made["secret"].removeprefix("whsec_").encode()):
        assert hidden not in said
        assert hidden not in kept
    assert kept.count(key) == 1
    assert (server.data / "webhooks.key").stat().st_mode & 0o777 == 0o600
    # With another key nothing is sent, and it is told why.
    (server.data / "webhooks.key").unlink()
    server.start()
    hooks = Hooks(server)
    hooks.hits(1)
    hooks.told(1)
    until(lambda: "another key" in hooks.state(id_).trouble)
    assert len(set(receiver.keys)) == 1


def test_the_command_adds_lists_resends_and_removes(
    hooks: Hooks, receiver: Receiver, server: Server
) -> None:
    receiver.answer = lambda _: 410
    made = run(
        *("webhooks", "add", receiver.url(), "--list", hooks.list, "--priority", "", "--live-only"),
        server=server.address,
    )
    assert made.returncode == 0, made.stderr
    words = made.stdout.split()
    id_, secret = words[1], words[3]
    assert secret.startswith("whsec_")
    now = read(1, hooks.plate)
    now.captured_at.GetCurrentTime()
    send(server, now)
    until(lambda: hooks.dead(id_))
    listed = run("webhooks", "list", server=server.address).stdout
    line = next(line for line in listed.splitlines() if id_ in line)
    assert f"list {hooks.list}; priority ''; live only" in line
    assert secret not in listed
    assert "answered 410" in run("webhooks", "dead", id_, server=server.address).stdout
    receiver.answer = lambda _: 200
    resent = run("webhooks", "resend", id_, server=server.address)
    assert resent.stdout == "1 dead letter sent again\n"
    until(lambda: not hooks.dead(id_))
    removed = run("webhooks", "remove", id_, server=server.address)
    assert removed.stdout.startswith(f"{id_} is removed")
    assert "there is no webhook" in error_of(run("webhooks", "dead", id_, server=server.address))
    bad = run("webhooks", "add", "ftp://x", server=server.address)
    assert "write https://HOST/PATH" in error_of(bad)
    much = run("webhooks", "add", "https://h/", "--list", "x" * 16 * 1024, server=server.address)
    assert "the filter is longer than 16 KiB" in error_of(much)


def test_too_many_dead_letters_stop_a_webhook(
    new_store: NewStore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ring import webhook as webhooks
    from ring.alert import Alert as AlertObject
    from ring.application import Ring
    from ring.delivery import Deliveries, Patience
    from ring.rpc.clock import now
    from ring.signing import digest_of
    from ring.telling import Teller
    from ring.wakeup import Wakeup
    from ring.webhook import Webhook

    most = 40
    monkeypatch.setattr(webhooks, "MOST_DEAD", most)

    ring = Ring(new_store())
    deliveries = Deliveries(ring, Wakeup(), Teller(ring), b"key", Patience(1, 0.001, 0))
    receiver.answer = lambda _: 410
    id_ = uuid4()
    body = Webhook.Added.BODY(
        url=receiver.url(), at=now(), secret_digest=digest_of(deliveries.secret(id_))
    )
    ring.store(Webhook.add(id_, body))
    raised = []
    for _ in range(most + 5):
        alert = uuid4()
        event = AlertObject.Raised(alert, 1, AlertObject.Raised.BODY(alert_id=str(alert)))
        raised.append(ring.mapper.to_stored_event(event))
    ring.event_log.insert_events(raised)
    deliveries.refresh()
    until(lambda: "stands still" in deliveries.state(id_).trouble)
    assert len(receiver.posts) == most
    webhook = ring.get(Webhook, id_)
    assert webhook is not None
    receiver.answer = lambda _: 200
    webhook.ask_resend((), "test", now())
    ring.store(webhook)
    deliveries.refresh()
    receiver.arrived(most + 5)
    deliveries.stop()
    ring.close()

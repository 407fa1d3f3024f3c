"""Every log ever written stays readable: one stored event of each topic, kept for ever."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from google.protobuf.json_format import MessageToDict, ParseDict

from ring.events import topics
from ring.store import EnvelopeMapper, UnreadableEventError
from tests.golden import make

GOLDEN = make.load()


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda event: f"{event['topic']} {event['version']}")
def test_stored_events_stay_readable(golden: dict[str, Any]) -> None:
    state = base64.b64decode(golden["state"], validate=True)
    stored = StoredEvent(make.STREAM, 7, golden["topic"], state)
    event = EnvelopeMapper().to_domain_event(stored)
    assert type(event) is topics()[golden["topic"]]
    assert (event.originator_id, event.originator_version) == (make.STREAM, 7)
    assert MessageToDict(event.body) == golden["body"]
    assert ParseDict(golden["body"], type(event.body)()) == event.body
    # Nothing of it is unknown to today's messages, and it is written so that it reads the same.
    again = EnvelopeMapper().to_domain_event(EnvelopeMapper().to_stored_event(event))
    assert again.body == event.body


def test_every_field_of_every_topic_is_in_a_golden_event() -> None:
    assert make.MODULES
    assert not make.lacking(), "run `python -m tests.golden.make` and commit what it adds"


def test_no_event_is_there_twice_or_given_up() -> None:
    names = [(event["topic"], event["version"]) for event in GOLDEN]
    assert len(set(names)) == len(names)
    assert {topic for topic, _ in names} <= set(topics())


def test_what_is_there_is_never_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = make.GOLDEN.read_text(encoding="utf-8").replace('"AB123CD"', '"ZZ999ZZ"')
    copy = tmp_path / "events.json"
    copy.write_text(changed, encoding="utf-8")
    monkeypatch.setattr(make, "GOLDEN", copy)
    assert make.add_missing() == []
    assert copy.read_text(encoding="utf-8") == changed
    rest = [event for event in make.load() if event["topic"] != "ring.read"]
    assert rest != GOLDEN
    copy.write_text(json.dumps(rest), encoding="utf-8")
    assert make.add_missing() == ["ring.read"]
    assert make.load()[:-1] == rest


@pytest.mark.parametrize(
    ("topic", "state", "told"),
    [
        ("ring.read", b"", "format none"),
        ("ring.read", b"\x02\x00x", "format 2"),
        ("ring.read", b"\x01\x07x", "key 07"),
        ("ring.tomorrow", b"\x01\x00", "written by a newer version"),
    ],
)
def test_what_can_not_be_read_is_named(topic: str, state: bytes, told: str) -> None:
    with pytest.raises(UnreadableEventError, match=told):
        EnvelopeMapper().to_domain_event(StoredEvent(make.STREAM, 1, topic, state))

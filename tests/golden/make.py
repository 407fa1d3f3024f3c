"""Adds to the golden file a stored event of every topic with a field that no event there has.

    python -m tests.golden.make

Always true here: what the file has is never written anew, for it stands for the logs that are out
there. Where `test_stored_events.py` fails, the change that broke it is wrong, not the file. The
plates and names are made up.
"""

import base64
import json
from pathlib import Path
from typing import Any
from uuid import UUID

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ring import alert, checkpoint, hotlist, look_back, reader, reads, webhook
from ring.events import topics
from ring.store import EnvelopeMapper

GOLDEN = Path(__file__).with_name("events.json")
MODULES = (alert, checkpoint, hotlist, look_back, reader, reads, webhook)  # they define the events
STREAM = UUID("01234567-89ab-4cde-8f01-23456789abcd")
_MOMENT = 1_767_225_600  # 2026-01-01T00:00:00Z
_TEXTS = {
    "plate": "AB123CD",
    "region": "AR",
    "epoch": "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    "characters": "B8",
}


def filled(message: Message, number: int = 1) -> Message:
    """Sets every field to a value that no other field nearby has, lists to two of them."""
    for field in message.DESCRIPTOR.fields:
        number += 1
        if field.is_repeated:
            values = getattr(message, field.name)
            if field.message_type and field.message_type.GetOptions().map_entry:
                key, value = field.message_type.fields
                for extra in (0, 1):
                    values[_value(key, number + extra)] = _value(value, number + extra)
                continue
            for extra in (0, 1):
                if field.message_type:
                    filled(values.add(), number + 10 * extra)
                else:
                    values.append(_value(field, number + extra))
        elif field.message_type:
            inner = getattr(message, field.name)
            if isinstance(inner, Timestamp):
                inner.FromMicroseconds((_MOMENT + number) * 1_000_000 + 250_000 + number)
            else:
                filled(inner, number)
        else:
            setattr(message, field.name, _value(field, number))
    return message


def _value(field: Any, number: int) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes(range(number, number + 32))
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return _TEXTS.get(field.name, f"{field.name} {number}")
        case FieldDescriptor.CPPTYPE_ENUM:
            return field.enum_type.values[-1].number
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return number / 64
    return number


def load() -> list[dict[str, Any]]:
    """What the file has: of each event "topic", "version" (of its form), "state" and "body"."""
    if not GOLDEN.exists():
        return []
    golden: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return golden


def paths(message: Message) -> set[str]:
    """The fields that are set in a message, those of messages within among them."""
    found = set()
    for field, value in message.ListFields():
        found.add(field.name)
        if not field.message_type or field.message_type.GetOptions().map_entry:
            continue
        for inner in value if field.is_repeated else [value]:
            found |= {f"{field.name}.{path}" for path in paths(inner)}
    return found


def lacking() -> dict[str, int]:
    """The topics with a field that no event in the file has; the version of the form to add."""
    had: dict[str, set[str]] = {topic: set() for topic in topics()}
    latest = dict.fromkeys(topics(), 0)
    for event in load():
        topic = event["topic"]
        had[topic] |= paths(ParseDict(event["body"], topics()[topic].BODY()))
        latest[topic] = max(latest[topic], event["version"])
    return {
        topic: latest[topic] + 1
        for topic, event_class in topics().items()
        if paths(filled(event_class.BODY())) - had[topic]
    }


def add_missing() -> list[str]:
    """Adds what is missing to the file; the topics that were."""
    golden, missing = load(), lacking()
    for topic, version in missing.items():
        event_class = topics()[topic]
        body = filled(event_class.BODY())
        stored = EnvelopeMapper().to_stored_event(event_class(STREAM, 1, body))
        golden.append(
            {
                "topic": topic,
                "version": version,
                "state": base64.b64encode(stored.state).decode(),
                "body": MessageToDict(body),
            }
        )
    if missing:
        text = json.dumps(golden, indent=1, ensure_ascii=False) + "\n"
        GOLDEN.write_text(text, encoding="utf-8")
    return list(missing)


if __name__ == "__main__":
    for topic in add_missing():
        print(f"added {topic}")

"""Alerts as rows: a hotlist match, and what became of it.

Always true here: a row holds all that its event says, so that no question about alerts needs the
log.
"""

from typing import Any

import pyarrow as pa

from proto.ring.v1.events_pb2 import AlertAcknowledged, AlertRaised, AlertResolved
from ring.values import micros

_TIME = pa.timestamp("us", tz="UTC")
_ACKNOWLEDGED, _RESOLVED = 2, 3


def match_row(body: AlertRaised) -> dict[str, Any]:
    """A row of hotlist_matches, without log and position."""
    entry, seen = body.entry, body.sighting
    return {
        "alert_id": body.alert_id,
        "raised_at": pa.scalar(micros(body.at), _TIME),
        "agency": body.agency,
        "hotlist": body.hotlist,
        "hotlist_version": body.hotlist_version,
        "entry_id": entry.entry_id,
        "entry_plate": entry.plate,
        "entry_reason": entry.reason,
        "entry_priority": entry.priority,
        "entry_reference": entry.reference,
        "plate": seen.plate,
        "captured_at": pa.scalar(micros(seen.captured_at), _TIME),
        "checkpoint": seen.checkpoint,
        "reader_id": seen.reader_id,
        "lane": seen.lane,
        "direction": pa.scalar(seen.direction, pa.int8()),
        "confidence": seen.confidence,
        "read_id": seen.read_id,
        "read_position": body.read_position,
        "match_probability": body.match_probability,
        "match_path": pa.scalar(list(body.match_path), pa.list_(pa.string())),
        "delayed": body.delayed,
        "look_back_id": body.look_back_id,
    }


def state_row(body: AlertAcknowledged | AlertResolved) -> dict[str, Any]:
    """A row of hotlist_match_states, without log and position."""
    if isinstance(body, AlertResolved):
        state, disposition = _RESOLVED, body.disposition
    else:
        state, disposition = _ACKNOWLEDGED, ""
    return {
        "alert_id": body.alert_id,
        "at": pa.scalar(micros(body.at), _TIME),
        "state": pa.scalar(state, pa.int8()),
        "by": body.by,
        "disposition": disposition,
        "note": body.note,
    }

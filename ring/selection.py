"""Which alerts somebody asked for.

Always true here: whether an alert is wanted depends on the alert and the request alone, never on
when it is asked; so a subscriber that resumes is told what it would have been told.
"""

from proto.ring.v1.alert_pb2 import Alert, SubscribeRequest
from proto.ring.v1.webhook_pb2 import AlertFilter


def is_wanted(asked: SubscribeRequest | AlertFilter, alert: Alert) -> bool:
    """What is left out of a request leaves nothing out. Whether updates count is not judged."""
    if asked.live_only and (alert.delayed or alert.look_back_id):
        return False
    return all(
        not among or value in among
        for among, value in (
            (asked.hotlists, alert.hotlist),
            (asked.agencies, alert.agency),
            (asked.priorities, alert.entry.priority),
            (asked.checkpoints, alert.sighting.checkpoint),
            (asked.zones, alert.zone),
        )
    )

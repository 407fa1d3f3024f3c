"""When a read of a list's vehicle is an alert.

Always true here: a policy in force has every field; one that was never given is the default one.
"""

from dataclasses import dataclass, field

from proto.ring.v1.events_pb2 import HotlistCreated
from proto.ring.v1.hotlist_pb2 import HotlistPolicy
from ring.errors import InvalidRequest
from ring.likelihood import LEAST, LISTED_SHARE
from ring.values import MOST_TEXT_BYTES

FLOOR = 0.5
"""Confidence under which an exact match is no alert, as the contract has it."""
THRESHOLD = 0.2
"""Probability above which a near match is one: docs/adr/0009 has what was measured."""
_PRIORITIES = 100


@dataclass(frozen=True)
class Policy:
    """What is in force: see HotlistPolicy in the protocol. All in 0..1."""

    confidence_floor: float = FLOOR
    threshold: float = THRESHOLD
    priority_thresholds: dict[str, float] = field(default_factory=dict)
    listed_share: float = LISTED_SHARE

    @classmethod
    def of(cls, asked: HotlistPolicy) -> "Policy":
        """What a policy comes to."""

        def one(name: str, default: float) -> float:
            return getattr(asked, name) if asked.HasField(name) else default  # type: ignore

        return cls(
            one("confidence_floor", FLOOR),
            one("threshold", THRESHOLD),
            dict(asked.priority_thresholds),
            one("listed_share", LISTED_SHARE),
        )

    @classmethod
    def at_first(cls, created: HotlistCreated) -> "Policy":
        """Of a new list: logs of old have its floor alone."""
        if created.HasField("policy"):
            return cls.of(created.policy)
        return cls(confidence_floor=created.confidence_floor)

    @property
    def lowest(self) -> float:
        """The lowest threshold of all priorities."""
        return min(self.threshold, *self.priority_thresholds.values(), 1.0)

    def threshold_of(self, priority: str) -> float:
        """What the probability of a near match must exceed."""
        return self.priority_thresholds.get(priority, self.threshold)

    def message(self) -> HotlistPolicy:
        """It as the world sees it."""
        return HotlistPolicy(
            confidence_floor=self.confidence_floor,
            threshold=self.threshold,
            priority_thresholds=self.priority_thresholds,
            listed_share=self.listed_share,
        )


def checked_policy(asked: HotlistPolicy, floor: float | None = None) -> HotlistPolicy:
    """A policy that can be. InvalidRequest, which says what may be, where it can't.

    floor: the confidence floor where that was given beside it.
    """
    policy = HotlistPolicy()
    policy.CopyFrom(asked)
    policy.DiscardUnknownFields()
    if floor is not None:
        if policy.HasField("confidence_floor") and policy.confidence_floor != floor:
            raise InvalidRequest("the confidence floor and the policy's differ: give one of them")
        policy.confidence_floor = floor
    if policy.HasField("confidence_floor"):
        _check("confidence floor", policy.confidence_floor, 0.0)
    if policy.HasField("threshold"):
        _check("threshold", policy.threshold, LEAST)
    for priority, threshold in policy.priority_thresholds.items():
        _check(f"threshold of priority {priority!r}", threshold, LEAST)
    if len(policy.priority_thresholds) > _PRIORITIES:
        raise InvalidRequest(f"a policy has thresholds for at most {_PRIORITIES} priorities")
    if policy.ByteSize() > MOST_TEXT_BYTES:
        raise InvalidRequest(
            f"the policy is longer than {MOST_TEXT_BYTES // 1024} KiB: shorten its priorities"
        )
    if policy.HasField("listed_share") and not 0.0 < policy.listed_share <= 1.0:
        raise InvalidRequest(
            f"the listed share {policy.listed_share:g} is not over 0 and at most 1: it is the "
            "share of all reads that are of the list's vehicles"
        )
    return policy


def _check(what: str, value: float, least: float) -> None:
    # What a client writes as 0.02 is a little less as a float of 32 bits.
    if not least - 1e-6 <= value <= 1.0:
        raise InvalidRequest(f"the {what} {value:g} is outside {least:g}..1")

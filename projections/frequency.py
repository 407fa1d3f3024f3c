"""How often plates are read: what a hotlist entry would come to.

Always true here: it is an estimate from the last seven days that have reads, and the busiest of
them counts; it names no plate that it was not asked for, but those that are read all the time.
"""

from projections.clickhouse import Client
from projections.search import like_of
from proto.ring.v1.operations_pb2 import EstimateFrequencyRequest, Frequency, FrequencyEstimate
from ring.errors import InvalidRequest

_MOST_PATTERNS = 200


def check_frequency(request: EstimateFrequencyRequest) -> None:
    """InvalidRequest where there are too many patterns."""
    if len(request.patterns) > _MOST_PATTERNS:
        raise InvalidRequest(f"{len(request.patterns)} patterns: ask for {_MOST_PATTERNS} at most")


def estimate(client: Client, request: EstimateFrequencyRequest) -> FrequencyEstimate:
    """Answers a request."""
    answer = FrequencyEstimate()
    if request.patterns:
        like = {pattern: like_of(pattern) for pattern in request.patterns}
        rows = client.rows("queries/pattern_frequency", patterns=list(like.values()))
        found = {str(pattern): int(reads) for pattern, reads in rows}
        for pattern in request.patterns:
            answer.patterns.append(
                Frequency(plate=pattern, reads_a_day=found.get(like[pattern], 0))
            )
    if request.HasField("above"):
        for plate, reads in client.rows("queries/frequent_plates", above=request.above):
            answer.plates.append(Frequency(plate=plate, reads_a_day=reads))
    return answer

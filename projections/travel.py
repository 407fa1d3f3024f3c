"""How soon a vehicle can be somewhere else: distances between checkpoints, and a top speed.

Always true here: distances are straight lines over the globe, so they are never longer than the
road, and a time that is too short for them is too short for any road.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import asin, cos, radians, sin, sqrt

from projections.clickhouse import Client

# Km/h. Faster than any road lets a vehicle go from checkpoint to checkpoint.
TOP_SPEED = 200.0
# A clock that is further ahead than this is wrong, microseconds.
CLOCK_AHEAD = 10_000_000
# How far two readers' clocks may be apart, microseconds: so much longer a vehicle may have had.
CLOCKS_APART = 2_000_000
_EARTH_KM = 6371.0088
_SHORTEST = 1_000_000

Place = tuple[float, float]


def places(client: Client) -> dict[str, Place]:
    """Latitude and longitude of each checkpoint, degrees."""
    return {str(c): (lat, lon) for c, lat, lon in client.rows("queries/places")}


@lru_cache(maxsize=16_384)
def kilometres(a: Place, b: Place) -> float:
    """Great-circle distance on a sphere (haversine), within 0.5 % of the ellipsoid's."""
    (lat_a, lon_a), (lat_b, lon_b) = map(_radians, (a, b))
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(h)))


def too_fast(here: Place, there: Place, gap: int) -> bool:
    """Whether no vehicle gets from here to there in that time, microseconds."""
    return kilometres(here, there) * 3600 * 1_000_000 > TOP_SPEED * (max(gap, 0) + CLOCKS_APART)


def speed(km: float, micros: int) -> float:
    """Km/h. Less than a second counts as one: clocks are no finer."""
    return km * 3600 * 1_000_000 / max(micros, _SHORTEST)


def farthest(known: Mapping[str, Place]) -> float:
    """Kilometres between the two checkpoints furthest apart, or a little more."""
    if not known:
        return 0.0
    latitudes = [lat for lat, _ in known.values()]
    longitudes = [lon for _, lon in known.values()]
    # The diagonal of the box around all of them, at its widest parallel; half the globe at most.
    widest = min(abs(lat) for lat in (min(latitudes), max(latitudes)))
    if min(latitudes) <= 0 <= max(latitudes):
        widest = 0.0
    east = radians(max(longitudes) - min(longitudes)) * cos(radians(widest))
    north = radians(max(latitudes) - min(latitudes))
    return min(_EARTH_KM * sqrt(east**2 + north**2), _EARTH_KM * 3.2)


def _radians(place: Place) -> Place:
    return radians(place[0]), radians(place[1])

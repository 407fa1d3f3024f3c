"""The curve of listed vehicles found over false alerts, as SVG.

Always true here: nothing is computed but where things are drawn; false alerts are drawn on a
logarithmic axis.
"""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple

WIDTH, HEIGHT, EDGE = 620, 390, 66
LEGEND = (
    "line: ours, over the threshold; dot: the default one; dashed: exact matching's and one more"
)
COLOURS = ("#1f5fa8", "#c0392b")

Point = tuple[float, float]
"""False alerts in a million reads, and the share of listed vehicles that is found."""


class Curve(NamedTuple):
    """One model's. ours: over the threshold; default: at the default one.

    limit: false alerts in a million reads that are allowed.
    """

    model: str
    ours: Sequence[Point]
    default: Point
    exact: Point
    edit_distance_1: Point
    limit: float


def diagram(curves: Sequence[Curve], title: str) -> str:
    """The curves in one picture."""
    points = [p for one in curves for p in (*one.ours, one.exact, one.edit_distance_1)]
    low = floor(log10(max(min(x for x, _ in points), 1e-4)))
    high = ceil(log10(max(x for x, _ in points)))
    bottom = floor(20 * min(y for _, y in points)) / 20
    wide, tall = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE

    def at(point: Point) -> Point:
        across = (log10(max(point[0], 10.0**low)) - low) / (high - low)
        return (
            round(EDGE + across * wide, 1),
            round(EDGE + (1 - (point[1] - bottom) / (1 - bottom)) * tall, 1),
        )

    parts = []
    for power in range(low, high + 1):
        x, y = at((10.0**power, bottom))
        parts.append(f'<path d="M{x} {y}V{EDGE}" stroke="#ddd"/>')
        parts.append(_text(x, y + 16, f"{10.0**power:,g}"))
    for step in range(round(20 * bottom), 21):
        x, y = at((10.0**low, step / 20))
        parts.append(f'<path d="M{x} {y}h{wide}" stroke="#ddd"/>')
        parts.append(_text(x - 22, y + 4, f"{step * 5} %"))
    for number, (one, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        x, _ = at((one.limit, 1.0))
        parts.append(
            f'<path d="M{x} {EDGE}v{tall}" stroke="{colour}" stroke-dasharray="3 4" opacity="0.6"/>'
        )
        line = "L".join("{} {}".format(*at(point)) for point in one.ours)
        parts.append(f'<path d="M{line}" stroke="{colour}" stroke-width="2" fill="none"/>')
        x, y = at(one.default)
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>')
        for point, name in ((one.exact, "exact"), (one.edit_distance_1, "edit distance 1")):
            x, y = at(point)
            parts.append(
                f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" fill="none" '
                f'stroke="{colour}" stroke-width="2"/>'
            )
            parts.append(_text(x, y + 18, name, colour))
        parts.append(_text(EDGE + wide / 2, 36 + 15 * number, one.model, colour))
    parts.append(_text(WIDTH / 2, 18, title))
    parts.append(_text(WIDTH / 2, HEIGHT - 26, "false alerts in a million reads"))
    parts.append(_text(WIDTH / 2, HEIGHT - 8, LEGEND))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="sans-serif"><rect width="100%" height="100%" '
        f'fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, text: str, colour: str = "#000") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="12" text-anchor="middle" fill="{colour}">'
        f"{text}</text>"
    )

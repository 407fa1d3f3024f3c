"""An evaluation as people and programs see it: a table, JSON, pictures of failures, a diagram.

Always true here: nothing is computed that evaluation.py has not; a failure's picture is named so
that what was read and what was there can be told from the folder's listing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lpr.errors import SourceError
from lpr.evaluation import BINS, Outcome, Share, Summary
from lpr.reading import Picture

HEAD = ("group", "kind", "pictures", "found", "exact", "95 %", "characters", "reads")
SURE_HEAD = ("surest 70 %", "calibration error")
AROUND = 1.0
"""Plate heights shown around a missed plate."""


def table(summaries: Sequence[Summary]) -> list[tuple[str, ...]]:
    """A row for each summary, under HEAD and SURE_HEAD."""
    return [
        (
            one.group,
            one.kind,
            str(one.exact.count),
            _counted(one.found),
            _counted(one.exact),
            "{:.2f}–{:.2f}".format(*one.exact.interval),
            f"{one.characters.value:.3f}",
            str(one.reads),
            _counted(one.surest),
            f"{one.calibration_error:.3f}",
        )
        for one in summaries
    ]


def fields(summary: Summary, model: str) -> dict[str, Any]:
    """A summary as --json shows it."""
    return {
        "model": model,
        "group": summary.group,
        "kind": summary.kind,
        "pictures": summary.exact.count,
        "exact": _share(summary.exact),
        "characters": _share(summary.characters),
        "found": _share(summary.found) if summary.found.count else None,
        "reads": summary.reads,
        "surest_70": _share(summary.surest),
        "calibration_error": round(summary.calibration_error, 4),
    }


def save_failure(folder: Path, outcome: Outcome, picture: Picture) -> Path:
    """Writes what was there: the crop, or the labelled plate and its surroundings, boxed.

    Raises SourceError where it can't be written.
    """
    labelled = outcome.labelled
    shown = picture
    if labelled.box is not None:
        shown = picture.copy()
        x, y, width, height = labelled.box.rounded()
        cv2.rectangle(shown, (x, y), (x + width, y + height), (0, 200, 0), 1)
        shown = labelled.box.grown(AROUND, picture).cut(shown)
    what = "missed" if outcome.found is False else (outcome.read or "none")
    path = folder / f"{labelled.group}-{labelled.path.stem}-is-{labelled.plate}-read-{what}.png"
    written, data = cv2.imencode(".png", shown)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.asarray(data).tobytes() if written else b"")
    except OSError as error:
        raise SourceError(f"{path} can't be written: {error.strerror}") from error
    return path


def diagram(outcomes: Sequence[Outcome], title: str, error: float) -> str:
    """A reliability diagram as SVG: for each bin of confidence, the share that was right.

    A bar's width of shade tells how many reads the bin holds; on the diagonal, confidence means
    what it says.
    """
    side, edge = 320, 46
    reads = [one for one in outcomes if one.read]

    def at(x: float, y: float) -> tuple[float, float]:
        return round(edge + x * side, 1), round(edge + (1 - y) * side, 1)

    parts = []
    for number in range(BINS):
        inside = [one for one in reads if min(BINS - 1, int(one.confidence * BINS)) == number]
        if not inside:
            continue
        right = sum(one.right for one in inside) / len(inside)
        sure = sum(one.confidence for one in inside) / len(inside)
        (left, top), (_, bottom) = at(number / BINS, right), at(0, 0)
        parts.append(
            f'<rect x="{left}" y="{top}" width="{side / BINS - 2}" height="{bottom - top:.1f}" '
            f'fill="#4a7ebb" fill-opacity="{0.25 + 0.75 * len(inside) / len(reads):.2f}"/>'
        )
        (x, y), (label_x, label_y) = at(sure, right), at((number + 0.5) / BINS, 0)
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="#c0392b"/>')
        parts.append(_text(label_x, label_y - 5, str(len(inside)), size=10))
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#777" stroke-dasharray="4 4"/>')
    parts.append(f'<path d="M{x0} {y1}V{y0}H{x1}" stroke="#333" fill="none"/>')
    for tick in (0.0, 0.5, 1.0):
        parts.append(_text(at(tick, 0)[0], y0 + 16, f"{tick:g}"))
        parts.append(_text(x0 - 14, at(0, tick)[1] + 4, f"{tick:g}"))
    parts.append(_text(edge + side / 2, edge + side + 34, "confidence"))
    parts.append(_text(edge + side / 2, 18, f"{title}: share of reads that are right"))
    parts.append(_text(edge + side / 2, 35, f"{len(reads)} reads, calibration error {error:.3f}"))
    width = side + 2 * edge
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {width}" width="{width}" '
        f'height="{width}" font-family="sans-serif"><rect width="100%" height="100%" '
        f'fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, text: str, size: int = 12) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="middle">{text}</text>'


def _counted(share: Share) -> str:
    return f"{share.value:.3f} ({share.right}/{share.count})" if share.count else "–"


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "right": share.right,
        "count": share.count,
        "share": round(share.value, 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }

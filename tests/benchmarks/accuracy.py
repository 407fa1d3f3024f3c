"""How well the reader reads, beside what we hold ourselves to: `lpr evaluate`'s figures, limits.

    python -m tests.benchmarks.accuracy [--model rapidocr+ours]

Always true here: the pictures go the whole path, as under `lpr evaluate`; only a picture's first
read counts; a floor that is missed makes the exit code 1, a goal that is missed is only said.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lpr.evaluation import Outcome, Sameness, Share, evaluate, load_manifest, summarise
from lpr.pipeline import Eye
from lpr.session import make_eye
from lpr.settings import Settings
from tests.benchmarks.reading import without_plates
from tests.conftest import SHARED_DATA

HUB = str(SHARED_DATA / "models" / "cct-xs-v1-global-model")
WITHOUT_NETWORK = "rapidocr+ours"
SAME = Sameness(["eu:O0,I1"])
"""What the European labels mix."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Limit:
    """What a figure has to be, at least or, where `at_most`, at most; goal: what it should be."""

    floor: float
    goal: float | None = None
    at_most: bool = False

    def holds(self, value: float) -> bool:
        return value <= self.floor if self.at_most else value >= self.floor

    def reaches(self, value: float) -> bool:
        return self.holds(value) and (self.goal is None or value >= self.goal)


EXACT = {
    HUB: {
        "ar": Limit(0.94, 0.97),
        "br": Limit(0.94, 0.98),
        "eu": Limit(0.99, 0.99),
        "us": Limit(0.70, 0.80),
    },
    WITHOUT_NETWORK: {
        "ar": Limit(0.86, 0.93),
        "br": Limit(0.86, 0.95),
        "eu": Limit(0.93, 0.98),
        "us": Limit(0.50, 0.70),
    },
}
"""Exact plates among all pictures of a set, by what LPR_OCR_MODEL is."""
SUREST = {HUB: Limit(0.98)}
"""Right ones of the surest 70 % of reads."""
CALIBRATION_ERROR = Limit(0.05, at_most=True)
NO_PLATE = Limit(0.01, at_most=True)
"""Pictures that give a read though their plates are painted over."""


def outcomes_of(eye: Eye, wanted: Callable[[Path], bool] = lambda path: True) -> list[Outcome]:
    """What becomes of the labelled pictures, or of those that are wanted."""
    pictures = load_manifest(SHARED_DATA / "plates" / "manifest.csv")
    asked = [one for one in pictures if wanted(one.path)]
    found = [one for one, _ in evaluate(eye, asked, SAME, unreadable=lambda path: None)]
    assert len(found) == len(asked), "a picture can't be opened"
    return found


def figures(model: str) -> Iterator[Row]:
    """A row for each figure of a model."""
    eye = make_eye(Settings(ocr_model=model), video=False)
    name = Path(model).name

    def row(figure: str, value: float, pictures: int, limit: Limit, **more: Any) -> Row:
        return {
            "benchmark": "reader: accuracy",
            "model": name,
            "figure": figure,
            "pictures": pictures,
            "value": round(value, 4),
            "floor": limit.floor,
            "goal": limit.goal,
            "holds": limit.holds(value),
            "reaches": limit.reaches(value),
            **more,
        }

    def counted(figure: str, share: Share, limit: Limit) -> Row:
        low, high = (round(end, 3) for end in share.interval)
        return row(figure, share.value, share.count, limit, right=share.right, interval=(low, high))

    *sets, whole = summarise(outcomes_of(eye))
    limits = EXACT[model]
    for one in sets:
        yield counted(f"exact plates, {one.group}", one.exact, limits[one.group])
    if model in SUREST:
        yield counted("right of the surest 70 %", whole.surest, SUREST[model])
    yield row("expected calibration error", whole.calibration_error, whole.reads, CALIBRATION_ERROR)
    found = without_plates(SHARED_DATA, model)
    share = found["reads"] / found["pictures"]
    yield row("reads where no plate is", share, found["pictures"], NO_PLATE, reads=found["reads"])


def every_model(report: Callable[[Row], None], models: Sequence[str] = tuple(EXACT)) -> list[Row]:
    """Every figure of every model; tells each as it comes. None where the pictures are absent."""
    rows: list[Row] = []
    if not (SHARED_DATA / "plates" / "manifest.csv").is_file():
        print("../shared/data is absent: the reader's accuracy is not measured", file=sys.stderr)
        return rows
    for model in models:
        for row in figures(model):
            rows.append(row)
            report(row)
    return rows


def missed(rows: Sequence[Row]) -> list[str]:
    """The floors that do not hold, a line each."""
    return [
        f"{row['model']}: {row['figure']} {row['value']}, floor {row['floor']}"
        for row in rows
        if not row["holds"]
    ]


def table(rows: Sequence[Row]) -> Table:
    """The figures for people."""
    shown = Table("model", "figure", "pictures", "measured", "floor", "goal", "")
    for row in rows:
        verdict = "FLOOR MISSED" if not row["holds"] else "" if row["reaches"] else "goal missed"
        shown.add_row(
            row["model"],
            row["figure"],
            str(row["pictures"]),
            f"{row['value']:.3f}" + (f" ({row['right']})" if "right" in row else ""),
            f"{row['floor']:g}",
            "–" if row["goal"] is None else f"{row['goal']:g}",
            verdict,
        )
    return shown


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="accuracy", description=(__doc__ or "").split("\n")[0])
    names = {Path(model).name: model for model in EXACT}
    parser.add_argument("--model", action="append", choices=names, help="default: each")
    options = parser.parse_args()
    models = [names[name] for name in options.model or names]
    rows = every_model(lambda row: print(json.dumps(row), flush=True), models)
    Console(stderr=True).print(table(rows))
    sys.exit("\n".join(missed(rows)) or 0)


if __name__ == "__main__":
    main()

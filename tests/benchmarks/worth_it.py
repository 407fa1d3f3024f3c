"""What matching by likelihood is worth: listed vehicles found, and false alerts in a million reads.

    python -m tests.benchmarks.worth_it [--states 6] [--picture docs/matching-curve.svg]

Real pictures, read by the real OCR (`passages.py`), against lists of a made-up city
(`listed_city.py`): each passage is, in turn, that of a listed vehicle and that of another one. What
is found is counted. False alerts are rarer than so few pictures can show, so they are expected: for
each plate that a read alerts on and that is not the vehicle's, the chance that it is listed.

Always true here: ours is what the index does with the default share of listed vehicles, and both
know the same floor; the threshold is chosen anew in each resample of the vehicles, so intervals
hold that choice too; all pictures of a vehicle, in all states, are resampled together.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lpr.evaluation import load_manifest
from lpr.session import make_eye
from lpr.settings import Settings
from ring.likelihood import LEAST, plausible, weight
from ring.policy import Policy
from tests.benchmarks.listed_city import City, simulated
from tests.benchmarks.matching_curve import Curve, Point, diagram
from tests.benchmarks.passages import Passage, believed, misses, near, passages
from tests.conftest import SHARED_DATA

MODELS = (str(SHARED_DATA / "models/cct-xs-v1-global-model"), "rapidocr+ours")
LISTS = (1_000, 5_000, 30_000)
"""Vehicles listed of a city's; 30,000 of 15 million are the 0.2 % of Buenos Aires' reads."""
SHOWN = 1_000
"""The list that the picture is of."""
MORE = 1.0
"""False alerts in a million reads that ours may raise beyond exact matching."""
THRESHOLDS = tuple(round(LEAST + 0.005 * step, 3) for step in range(97))
RESAMPLES = 2_000
STATES = 6
SEED = 1

Row = dict[str, Any]
Sums = NDArray[np.float64]

# Columns of a vehicle's sums, before those of ours: found, then wrong, one a threshold.
_PASSAGES, _READS, _EXACT, _EXACT_WRONG, _EDIT, _EDIT_WRONG, _OURS = range(7)
_FOUND = slice(_OURS, _OURS + len(THRESHOLDS))
_WRONG = slice(_FOUND.stop, _FOUND.stop + len(THRESHOLDS))


class Matched:
    """Passages matched in every way against lists of a city's vehicles.

    sums: a row for each vehicle: passages, reads, vehicles found, and the wrong plates that would
    alert, each counted by how likely it is to be on the road.
    floor: confidence under which an exact match is no alert, in exact matching and in ours.
    """

    def __init__(self, seen: Sequence[Passage], city: City, floor: float) -> None:
        assert weight(Policy().listed_share, max(LISTS)) == 1.0, "the list's length would matter"
        self.city, self.floor = city, floor
        numbers = {plate: n for n, plate in enumerate(dict.fromkeys(one.plate for one in seen))}
        self.sums = np.zeros((len(numbers), _OURS + 2 * len(THRESHOLDS)))
        for one in seen:
            self.sums[numbers[one.plate]] += self._one(one)

    def _one(self, passage: Passage) -> Sums:
        row = np.zeros(self.sums.shape[1])
        row[_PASSAGES] = 1
        read = passage.read
        if read is None:
            return row
        row[_READS] = 1
        sure = read.confidence >= self.floor
        row[_EXACT] = sure and passage.is_plate(read.plate)
        row[_EXACT_WRONG] = sure and self._wrong(passage, read.plate)
        row[_EDIT] = passage.apart() <= 1
        row[_EDIT_WRONG] = sum(self._wrong(passage, plate) for plate in near(read.plate))
        row[_FOUND], row[_WRONG] = row[_EXACT], row[_EXACT_WRONG]
        for plate, said in plausible(read).items():
            if plate != read.plate:
                alerts = said > np.array(THRESHOLDS)
                row[_WRONG] += alerts * self._wrong(passage, plate)
                if passage.is_plate(plate):
                    row[_FOUND] = np.maximum(row[_FOUND], alerts)
        return row

    def _wrong(self, passage: Passage, plate: str) -> float:
        return 0.0 if passage.is_plate(plate) else self.city.density(plate)

    def false(self, sums: Sums, column: int | slice, listed: int) -> Sums:
        """False alerts in a million reads, from a column of sums or from several."""
        reads = sums[..., [_READS]] if isinstance(column, slice) else sums[..., _READS]
        # A resample may have no read.
        share = sums[..., column] / np.maximum(reads, 1)
        return np.asarray(share * 1e6 * self.city.chance(listed))

    def chosen(self, sums: Sums, listed: int) -> NDArray[np.intp]:
        """The number of the best threshold with at most MORE false alerts than exact matching.

        The highest of equally good ones.
        """
        theirs = self.false(sums, _EXACT_WRONG, listed)[..., None]
        allowed = self.false(sums, _WRONG, listed) <= theirs + MORE
        found = np.where(allowed, sums[..., _FOUND], -1.0)
        return np.asarray(len(THRESHOLDS) - 1 - found[..., ::-1].argmax(axis=-1))


def worth(matched: Matched, listed: int) -> Row:
    """How many fewer listed vehicles ours misses than exact matching does, with so many listed.

    At the best threshold with at most MORE false alerts beyond exact matching's, and at the default
    one. avoided: the share of exact matching's misses, with a 95 % interval; avoided_of_reads: of
    those misses of which there is a read.
    """
    whole = matched.sums.sum(axis=0)
    vehicles = len(matched.sums)
    draws = np.random.default_rng(SEED).multinomial(
        vehicles, np.full(vehicles, 1 / vehicles), RESAMPLES
    )
    # The vehicles as they are come first.
    samples = np.vstack([whole, draws @ matched.sums])
    chosen = matched.chosen(samples, listed)
    default = np.full(len(samples), THRESHOLDS.index(Policy().threshold))

    def way(found: int, wrong: int) -> Row:
        return {
            "found": round(float(whole[found] / whole[_PASSAGES]), 4),
            "false_per_million": float(f"{matched.false(whole, wrong, listed):.3g}"),
        }

    row: Row = {
        "listed": listed,
        "crowded": matched.city.crowded,
        "floor": matched.floor,
        "exact": way(_EXACT, _EXACT_WRONG),
        "edit_distance_1": way(_EDIT, _EDIT_WRONG),
    }
    for name, places in (("ours", chosen), ("ours_by_default", default)):
        place = int(places[0])
        found = np.take_along_axis(samples[:, _FOUND], places[:, None], axis=1)[:, 0]
        row[name] = {
            "threshold": THRESHOLDS[place],
            **way(_FOUND.start + place, _WRONG.start + place),
            "avoided": _avoided(samples, found, _PASSAGES),
            "avoided_of_reads": _avoided(samples, found, _READS),
        }
    return row


def _avoided(samples: Sums, found: Sums, among: int) -> dict[str, float]:
    """The share of exact matching's misses that are found, in the first sample and in 95 %."""
    missed = samples[:, among] - samples[:, _EXACT]
    # Where a sample has no misses there is nothing to avoid.
    shares = np.where(missed > 0, (found - samples[:, _EXACT]) / np.maximum(missed, 1), 0.0)
    low, high = np.quantile(shares[1:], (0.025, 0.975))
    return {
        name: round(float(value), 3)
        for name, value in (("share", shares[0]), ("low", low), ("high", high))
    }


def longest_list(matched: Matched, share: float = 0.2) -> int:
    """The longest list at which that share of exact matching's misses is avoided, with MORE."""
    sums = matched.sums.sum(axis=0)
    enough = sums[_FOUND] - sums[_EXACT] >= share * (sums[_PASSAGES] - sums[_EXACT])
    more = matched.false(sums, _WRONG, 1) - matched.false(sums, _EXACT_WRONG, 1)
    least = min(more[enough], default=np.inf)
    return int(MORE / least) if least else matched.city.vehicles


def thresholds(matched: Matched) -> list[Row]:
    """What each of some thresholds adds to exact matching, whatever the list's length.

    right: of the alerts that it adds, the share that are of the listed vehicle: it passes as often
    as any other.
    """
    sums = matched.sums.sum(axis=0)
    rows = []
    for threshold in (0.3, 0.2, 0.15, 0.1, 0.05, 0.02):
        place = THRESHOLDS.index(threshold)
        found = (sums[_FOUND][place] - sums[_EXACT]) / sums[_PASSAGES]
        wrong = (sums[_WRONG][place] - sums[_EXACT_WRONG]) / sums[_READS]
        row = {
            "threshold": threshold,
            "found_beyond_exact": round(float(found), 4),
            "avoided": round(float(found / (1.0 - sums[_EXACT] / sums[_PASSAGES])), 3),
            "false_per_million_and_1000_listed": round(
                float(wrong) * 1e6 * matched.city.chance(1000), 3
            ),
            "right": round(float(found / (found + wrong)), 3) if found else 0.0,
        }
        rows.append(row)
    return rows


def curve(matched: Matched, model: str, listed: int) -> Curve:
    """It for the picture."""
    sums = matched.sums.sum(axis=0)

    def at(found: int, wrong: int) -> Point:
        false = float(matched.false(sums, wrong, listed))
        return false, float(sums[found] / sums[_PASSAGES])

    ours = [at(_FOUND.start + n, _WRONG.start + n) for n in range(len(THRESHOLDS))]
    exact = at(_EXACT, _EXACT_WRONG)
    return Curve(
        model,
        ours,
        ours[THRESHOLDS.index(Policy().threshold)],
        exact,
        at(_EDIT, _EDIT_WRONG),
        exact[0] + MORE,
    )


def every_model(
    report: Callable[[Row], None],
    models: Sequence[str] = MODELS,
    states: int = STATES,
    picture: Path | None = None,
) -> list[Row]:
    """The whole benchmark: tells each row as it comes; picture: where the curves are drawn to."""
    labelled = load_manifest(SHARED_DATA / "plates" / "manifest.csv")
    rows, curves = [], list[Curve]()
    for model in models:
        eye = make_eye(Settings(ocr_model=model), video=False)
        for row in figures(eye.model, list(passages(eye, labelled, states, SEED)), curves):
            rows.append({"benchmark": "what matching by likelihood is worth", **row})
            report(rows[-1])
    if picture:
        title = f"Listed vehicles found, {SHOWN:,} of 15 million listed"
        picture.write_text(diagram(curves, title), encoding="utf-8")
    return rows


def figures(model: str, seen: Sequence[Passage], curves: list[Curve]) -> Iterator[Row]:
    """A row for each floor, city and list, then what became of the reads. Adds to the curves."""
    right = sum(one.read is not None and one.is_plate(one.read.plate) for one in seen)
    head = {
        "model": model,
        "passages": len(seen),
        "reads": sum(one.read is not None for one in seen),
        "right": right,
    }
    plates = list({one.picture: one.plate for one in seen}.values())
    for floor in (0.0, Policy().confidence_floor):
        for crowded in (False, True):
            matched = Matched(seen, City(plates, crowded=crowded), floor)
            for listed in LISTS:
                yield head | worth(matched, listed)
            yield head | {
                "floor": floor,
                "crowded": crowded,
                "longest_list_with_20_percent": longest_list(matched),
                "thresholds": thresholds(matched),
            }
            if not floor and not crowded:
                curves.append(curve(matched, model, SHOWN))
    yield head | {"misses": misses(seen, Policy().threshold)}
    yield head | {"believed": believed(seen)}
    yield head | {"simulated": simulated(seen, entries=200_000, reads=100_000)}


def table(rows: Sequence[Row]) -> Table:
    """The rows of lists for people: what is found, at how many false alerts in a million reads."""
    shown = Table("model", "floor", "city", "listed", "exact", "edit distance 1", "ours", "avoided")
    for row in rows:
        if "avoided" in row.get("ours", ()):
            ours, avoided = row["ours"], row["ours"]["avoided"]
            shown.add_row(
                row["model"],
                f"{row['floor']:g}",
                "crowded" if row["crowded"] else "even",
                f"{row['listed']:,}",
                *(
                    f"{row[way]['found']:.3f} at {row[way]['false_per_million']:,g}"
                    for way in ("exact", "edit_distance_1", "ours")
                ),
                f"{avoided['share']:.0%} ({avoided['low']:.0%}–{avoided['high']:.0%}), "
                f"threshold {ours['threshold']:g}",
            )
    return shown


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="worth_it", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--states", type=int, default=STATES, help="worse ones of each picture")
    parser.add_argument(
        "--model", action="append", help="as LPR_OCR_MODEL names it; several may be"
    )
    parser.add_argument("--picture", type=Path, help="SVG file to draw the curves to")
    options = parser.parse_args()
    rows = every_model(
        lambda row: print(json.dumps(row), flush=True),
        options.model or MODELS,
        options.states,
        options.picture,
    )
    Console(stderr=True).print(table(rows))


if __name__ == "__main__":
    main()

"""How well the reader reads labelled pictures: what was found, what was read, how sure it was.

Always true here: scenes go the way `lpr read` sends them, crops straight to the OCR however wide;
only the first read of a picture counts; a picture without a read has every character wrong; figures
come with their counts, and shares with 95 % intervals of Wilson's.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from lpr.camera import load_picture
from lpr.errors import SourceError
from lpr.pipeline import Eye
from lpr.reading import Box, Picture

COLUMNS = ("file", "kind", "x", "y", "width", "height", "plate")
FOUND = 0.4
"""Intersection over union at which a box is on the labelled plate; labels are not drawn alike."""
SUREST = 0.7
"""Share of the reads, surest first, whose accuracy is told."""
BINS = 10
"""Bins of confidence, equally wide, for the expected calibration error."""


@dataclass(frozen=True)
class Labelled:
    """One picture of a manifest. kind: crop or scene; box: where the plate is, scenes only."""

    path: Path
    kind: str
    box: Box | None
    plate: str

    @property
    def group(self) -> str:
        """The folder it is in."""
        return self.path.parent.name


@dataclass(frozen=True)
class Outcome:
    """What became of one picture. read is empty where there was none.

    right and wrong_characters are judged with what counts as the same; found: whether a box that
    the OCR looked at was on the plate, None where the picture is a crop.
    """

    labelled: Labelled
    read: str
    confidence: float
    right: bool
    wrong_characters: int
    found: bool | None


@dataclass(frozen=True)
class Share:
    """right out of count, with the 95 % interval of Wilson's score."""

    right: int
    count: int

    @property
    def value(self) -> float:
        return self.right / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson (1927); 0..1 where nothing was counted."""
        if not self.count:
            return 0.0, 1.0
        z, n, share = 1.96, self.count, self.value
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Summary:
    """Figures of one group of pictures.

    exact and characters are of all pictures, reads or not; found is of scenes; surest is of the
    surest 70 % of reads; calibration_error is the expected one of the reads' confidence.
    """

    group: str
    kind: str
    exact: Share
    characters: Share
    found: Share
    reads: int
    surest: Share
    calibration_error: float


class Sameness:
    """Characters that labels mix, and that therefore count as equal.

    Written as `O0,I1`, or `eu:O0,I1` for one group alone. Raises SourceError for anything else.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._tables: list[tuple[str, dict[int, str]]] = []
        for text in texts:
            group, colon, pairs = text.rpartition(":")
            table: dict[int, str] = {}
            for pair in pairs.upper().split(","):
                if len(pair) < 2 or not pair.isalnum():
                    raise SourceError(f"--same {text} is no list of pairs; write it as O0,I1")
                table.update({ord(one): pair[0] for one in pair})
            self._tables.append((group if colon else "", table))

    def fold(self, plate: str, group: str) -> str:
        """The plate with one character standing for all that count as it."""
        for only, table in self._tables:
            if only in ("", group):
                plate = plate.translate(table)
        return plate


def load_manifest(path: Path) -> list[Labelled]:
    """The pictures of a CSV file with COLUMNS; files are named from its folder.

    Raises SourceError where it can't be read, and names the line where one is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise SourceError(
                    f"{path} lacks the columns {', '.join(sorted(missing))}; a manifest has "
                    f"{','.join(COLUMNS)}"
                )
            labelled = [_labelled(path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"the manifest {path} can't be read: {error}") from error
    if not labelled:
        raise SourceError(f"the manifest {path} names no picture")
    return labelled


def evaluate(
    eye: Eye,
    pictures: Sequence[Labelled],
    same: Sameness,
    *,
    unreadable: Callable[[Path], None],
) -> Iterator[tuple[Outcome, Picture]]:
    """Each picture's outcome, with the picture; one that can't be opened is told and left out."""
    for labelled in pictures:
        picture = load_picture(labelled.path)
        if picture is None:
            unreadable(labelled.path)
            continue
        seen = eye.plate(picture) if labelled.kind == "crop" else eye.see(picture)
        read, confidence = (
            (seen.reads[0].reading.plate, seen.reads[0].reading.confidence)
            if seen.reads
            else ("", 0.0)
        )
        said, truth = (same.fold(text, labelled.group) for text in (read, labelled.plate))
        box = labelled.box
        yield (
            Outcome(
                labelled,
                read,
                confidence,
                said == truth,
                min(distance(said, truth), len(truth)),
                None if box is None else any(one.overlap(box) >= FOUND for one in seen.boxes),
            ),
            picture,
        )


def summarise(outcomes: Sequence[Outcome]) -> list[Summary]:
    """A summary for each group and kind, and one of everything at the end."""
    keys = dict.fromkeys((one.labelled.group, one.labelled.kind) for one in outcomes)
    found = [
        _summary(
            group,
            kind,
            [o for o in outcomes if (o.labelled.group, o.labelled.kind) == (group, kind)],
        )
        for group, kind in keys
    ]
    return [*found, _summary("all", "", outcomes)]


def calibration_error(outcomes: Sequence[Outcome], bins: int = BINS) -> float:
    """Expected calibration error over equally wide bins of confidence (Naeini et al., 2015)."""
    held: list[list[Outcome]] = [[] for _ in range(bins)]
    for one in outcomes:
        held[min(bins - 1, int(one.confidence * bins))].append(one)
    gaps = sum(abs(sum(one.confidence - one.right for one in inside)) for inside in held)
    return gaps / len(outcomes) if outcomes else 0.0


def distance(one: str, other: str) -> int:
    """Characters to add, drop or change to make one text the other (Levenshtein)."""
    before = list(range(len(other) + 1))
    for row, character in enumerate(one, start=1):
        now = [row]
        for column, against in enumerate(other, start=1):
            now.append(
                min(before[column] + 1, now[-1] + 1, before[column - 1] + (character != against))
            )
        before = now
    return before[-1]


def _summary(group: str, kind: str, outcomes: Sequence[Outcome]) -> Summary:
    letters = sum(len(one.labelled.plate) for one in outcomes)
    scenes = [one.found for one in outcomes if one.found is not None]
    reads = sorted((one for one in outcomes if one.read), key=lambda one: -one.confidence)
    surest = reads[: round(SUREST * len(reads))]
    return Summary(
        group,
        kind,
        Share(sum(one.right for one in outcomes), len(outcomes)),
        Share(letters - sum(one.wrong_characters for one in outcomes), letters),
        Share(sum(scenes), len(scenes)),
        len(reads),
        Share(sum(one.right for one in surest), len(surest)),
        calibration_error(reads),
    )


def _labelled(manifest: Path, line: int, row: dict[str, str]) -> Labelled:
    try:
        if row["kind"] not in ("crop", "scene") or not row["file"] or not row["plate"]:
            raise ValueError
        box = (
            Box(*(float(row[name]) for name in ("x", "y", "width", "height")))
            if row["kind"] == "scene"
            else None
        )
    except (ValueError, TypeError) as error:
        raise SourceError(
            f"line {line} of {manifest} is wrong: file and plate are needed, kind is crop or "
            "scene, and a scene has its plate's x, y, width and height"
        ) from error
    return Labelled(manifest.parent / row["file"], row["kind"], box, row["plate"])

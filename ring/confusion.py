"""Which plates an OCR could have taken for which: a model of single characters.

Always true here: a likelihood is relative to reading the plate as it is, so that is 1 and anything
else lies between 0 and 1; the model is a table of counts, and nothing is read but that.

The table, confusions.csv, counts how often a character (`true`) was read as another (`read`) on
labelled pictures of real plates, as they are and in worse states, by the OCR that readers have
where no other is fetched: deploy/measure-confusions.py made it. An empty `true` is a character that
was read where none is, an empty `read` one that was missed.

Counts are few, so they are smoothed: what was read as b where a was true counts by half for a where
b was true, because two characters that look alike do so both ways, and every other confusion counts
as a twentieth of a read.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MIRRORED, _UNSEEN = 0.5, 0.05
_SHORTEST, _LONGEST = 2, 12

Counts = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Confusions:
    """Likelihoods of single edits, relative to reading the character as it is.

    taken[t][r]: t is read as r; missed[t]: nothing is read for t; added[r]: r is read beside a
    character. All in 0..1.

    behind[r][t]: how often t is true where r is read, relative to r; "" is no character, as which
    r was added or t missed. This is the other way round, so it knows how common characters are.
    """

    taken: Mapping[str, Mapping[str, float]]
    missed: Mapping[str, float]
    added: Mapping[str, float]
    behind: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, counts: Counts) -> "Confusions":
        """The model of a table."""
        right = {c: counts.get((c, c), 0) + 1 for c in CHARACTERS}
        everything = sum(right.values())
        taken = {
            t: {r: min(1.0, _smoothed(counts, t, r) / right[t]) for r in CHARACTERS if r != t}
            for t in CHARACTERS
        }
        missed = {t: min(1.0, _smoothed(counts, t, "") / right[t]) for t in CHARACTERS}
        added = {r: min(1.0, _smoothed(counts, "", r) / everything) for r in CHARACTERS}
        seen = right | {"": everything}
        behind = {
            r: {t: min(1.0, _smoothed(counts, t, r) / seen[r]) for t in ("", *CHARACTERS) if t != r}
            for r in ("", *CHARACTERS)
        }
        return cls(taken, missed, added, behind)

    def likelihood(self, true: str, read: str) -> float:
        """That a plate is read as another, by the likeliest way from one to the other."""
        row = [1.0]
        for r in read:
            row.append(row[-1] * self.added[r])
        for t in true:
            before, row = row, [row[0] * self.missed[t]]
            for j, r in enumerate(read):
                same = 1.0 if t == r else self.taken[t][r]
                row.append(
                    max(before[j] * same, before[j + 1] * self.missed[t], row[j] * self.added[r])
                )
        return row[-1]

    def likely(self, true: str, least: float, wild: str = "") -> dict[str, float]:
        """What a plate may be read as with at least that likelihood, itself included.

        Characters in `wild` stand for themselves: a pattern gives patterns.
        """
        found: dict[str, float] = {}
        self._extend("", 1.0, true, least, wild, found)
        return {t: p for t, p in found.items() if _SHORTEST <= len(t) <= _LONGEST or wild}

    def changes(self, true: str, read: str) -> list[tuple[int, str, str]]:
        """The likeliest way from one to the other: (place in `read` from 1, read there, true).

        One of the two characters is "" where it was missed, which is after that place, or added.
        """
        best: list[list[tuple[float, tuple[tuple[int, str, str], ...]]]] = [[(1.0, ())]]
        for j, r in enumerate(read, 1):
            likelihood, way = best[0][-1]
            best[0].append((likelihood * self.added[r], (*way, (j, r, ""))))
        for i, t in enumerate(true, 1):
            likelihood, way = best[i - 1][0]
            best.append([(likelihood * self.missed[t], (*way, (0, "", t)))])
            for j, r in enumerate(read, 1):
                kept, kept_way = best[i - 1][j - 1]
                missed, missed_way = best[i - 1][j]
                added, added_way = best[i][j - 1]
                ways = [
                    (kept, kept_way)
                    if t == r
                    else (kept * self.taken[t][r], (*kept_way, (j, r, t))),
                    (missed * self.missed[t], (*missed_way, (j, "", t))),
                    (added * self.added[r], (*added_way, (j, r, ""))),
                ]
                best[i].append(max(ways, key=lambda way: way[0]))
        return list(best[-1][-1][1])

    def _extend(
        self,
        text: str,
        likelihood: float,
        rest: str,
        least: float,
        wild: str,
        found: dict[str, float],
    ) -> None:
        for piece, factor in _additions(self):
            if likelihood * factor < least:
                break
            self._extend(text + piece, likelihood * factor, rest, least, wild, found)
        if not rest:
            found[text] = max(likelihood, found.get(text, 0.0))
            return
        for piece, factor in self._readings(rest[0], wild):
            if likelihood * factor < least:
                break
            self._extend(text + piece, likelihood * factor, rest[1:], least, wild, found)

    def _readings(self, true: str, wild: str) -> list[tuple[str, float]]:
        """What one character may be read as, the likeliest first."""
        return [(true, 1.0)] if true in wild else _readings(self, true)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@cache
def _readings(model: Confusions, true: str) -> list[tuple[str, float]]:
    found = [(true, 1.0), ("", model.missed[true]), *model.taken[true].items()]
    return sorted(found, key=lambda item: -item[1])


@cache
def _additions(model: Confusions) -> list[tuple[str, float]]:
    """What may be read beside any character, the likeliest first."""
    return sorted(model.added.items(), key=lambda item: -item[1])


def _smoothed(counts: Counts, true: str, read: str) -> float:
    mirrored = _MIRRORED * counts.get((read, true), 0) if true and read else 0.0
    return counts.get((true, read), 0) + mirrored + _UNSEEN


def read_counts(lines: Iterator[str]) -> dict[tuple[str, str], int]:
    """A table in the form of confusions.csv."""
    return {(row["true"], row["read"]): int(row["count"]) for row in csv.DictReader(lines)}


@cache
def measured() -> Confusions:
    """The model of the table that comes with the ring."""
    with (files("ring") / "confusions.csv").open(encoding="utf-8") as file:
        return Confusions.of(read_counts(iter(file)))

"""What a plate may be, put together with what the OCR saw: exact, over every format at once.

The OCR's rows are taken as independent places, each with a chance of holding no character. The
prior is a mixture: each format of the configured countries, and a generic plate of any length in
which letters and digits come in runs. A string's weight is its probability under the rows times
its prior relative to strings drawn at random, since that is what a model without formats assumes.

Always true here: no string is forbidden that the generic plate can make; sums run over all
strings, not over a beam; the rows sent on are those of the likeliest length and sum to 1; plates
that are decoded together come out as each would alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product

import numpy as np

from lpr.formats import CLASSES, Format
from lpr.pattern_tree import Numbers, PatternTree, Places
from lpr.reading import ALPHABET, NOTHING, Posterior

GENERIC = 0.3
"""Share of plates that follow no format of the configured countries."""
RUN = 0.7
"""Chance that the next character of a generic plate is of the kind of the one before."""
RIVALS = 8
"""Patterns, the heaviest, whose own best strings are compared."""
NEGLIGIBLE = 1e-6
"""Share of the whole under which a pattern is none of them."""
SHAPES = 4096
"""Shapes of strings whose prior is remembered."""

_NAMES = list(CLASSES)
_MASKS = np.array(
    [[character in held for character in ALPHABET[:NOTHING]] for held in CLASSES.values()], float
)
_SIZES = _MASKS.sum(axis=1)
_FITS = np.vstack([_MASKS, np.zeros(NOTHING)]).astype(bool)
# Characters that every class holds alike are one to the prior: the first of each kind of them, and
# which kind each character is.
_FIRSTS, _SHAPE = np.unique(_MASKS, axis=1, return_index=True, return_inverse=True)[1:]


@dataclass(frozen=True)
class Decoded:
    """plate: the likeliest string. probability: its share among all. rows: one a character.

    countries: share of each country's formats in the whole; the generic plate is under "".
    """

    plate: str
    probability: float
    rows: Posterior
    countries: dict[str, float]


class Prior:
    """The formats, compiled. formats: at least one generic one among them."""

    def __init__(self, formats: Sequence[Format], *, generic: float = GENERIC) -> None:
        weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        named = {one.country for one in formats if one.country}
        totals: dict[str, float] = defaultdict(float)
        for one in formats:
            totals[one.country] += one.weight
        for one in formats:
            share = (1 - generic) / len(named) if one.country else generic if named else 1.0
            for pattern, part in _spelled(one.pattern):
                weights[pattern][one.country] += part * share * one.weight / totals[one.country]
        self.countries = sorted({country for held in weights.values() for country in held})
        patterns = list(weights)
        self._lengths = np.array([len(pattern) for pattern in patterns])
        self._kinds = np.full((len(patterns), max(self._lengths)), len(_NAMES))
        for row, pattern in zip(self._kinds, patterns, strict=True):
            row[: len(pattern)] = [_NAMES.index(kind) for kind in pattern]
        self._tree = PatternTree(
            [[_NAMES.index(kind) for kind in pattern] for pattern in patterns], len(_NAMES)
        )
        # Relative to strings drawn at random: 36 to the length, over how many fit the pattern.
        odds = np.log(NOTHING / np.append(_SIZES, NOTHING))[self._kinds].sum(axis=1)
        self._weights = np.exp(odds)[:, None] * np.array(
            [[held.get(country, 0.0) for country in self.countries] for held in weights.values()]
        )
        self._of_shape = lru_cache(SHAPES)(self._fitting)

    def decode(self, rows: Posterior, told: Mapping[str, float] | None = None) -> Decoded:
        """The likeliest plate of an OCR's rows, (n, 37).

        told: how much likelier than usual a model's own view makes each country; 1 where absent.
        """
        return self.decode_all([rows], [told or {}])[0]

    def decode_all(
        self, said: Sequence[Posterior], told: Sequence[Mapping[str, float]]
    ) -> list[Decoded]:
        """The likeliest plate of each stack of rows, in their order."""
        if not said:
            return []
        seen = _together(said)
        characters, none = seen[..., :NOTHING], seen[..., NOTHING]
        favour = np.array([[one.get(country, 1.0) for one in told] for country in self.countries])
        weights = self._weights @ favour
        sums = _MASKS @ characters.transpose(0, 2, 1)
        forward = self._tree.forward(sums, none)
        ends = forward[-1, self._tree.ends]
        mass = ends * weights
        total = mass.sum(axis=0)
        by_country = (self._weights.T @ ends) * favour
        rivals = _heaviest(mass.T.copy(), min(RIVALS, len(mass)))
        texts, theirs = self._best(rivals, characters, sums, none, favour)
        # A pattern that hardly counts is no rival.
        numbers = np.arange(len(said))[:, None]
        theirs = theirs * (mass[rivals, numbers] > NEGLIGIBLE * total[:, None])
        first = theirs.argmax(axis=1)
        lengths = np.where(total > 0, self._lengths[rivals[numbers[:, 0], first]], 0)
        last = np.zeros(forward.shape[1:])
        last[self._tree.ends] = weights * (self._lengths[:, None] == lengths)
        through = self._tree.through(forward, sums, none, last)
        rows = _shares(self._marginals(through, characters))
        shares = (by_country / np.where(total > 0, total, 1.0)).T.tolist()
        chances = theirs[numbers[:, 0], first] / np.where(total > 0, total, 1.0)
        plates = texts[numbers[:, 0], first].tolist()
        return [
            Decoded(
                "".join(ALPHABET[column] for column in plate[:length]),
                min(1.0, chance),
                rows[number, :length],
                dict(zip(self.countries, share, strict=True)) if length else {},
            )
            for number, (plate, length, chance, share) in enumerate(
                zip(plates, lengths.tolist(), chances.tolist(), shares, strict=True)
            )
        ]

    def _best(
        self, rivals: Places, characters: Numbers, sums: Numbers, none: Numbers, favour: Numbers
    ) -> tuple[Places, Numbers]:
        """The best string of each rival pattern, as columns, and its exact weight.

        rivals: (plates, RIVALS). Returns (plates, RIVALS, longest) and (plates, RIVALS).
        """
        plates = np.arange(len(rivals))[:, None]
        lengths = self._lengths[rivals]
        kinds = self._kinds[rivals][..., : lengths.max()]
        by_kind = np.concatenate([sums, np.zeros_like(sums[:, :1])], axis=1).transpose(0, 2, 1)
        asked = by_kind[:, plates[..., None], kinds]
        ways = _forward(asked, none)[:-1, ..., :-1] * _backward(asked, none, lengths)[1:, ..., 1:]
        rows, count, patterns, longest = ways.shape
        # For each plate: (patterns × places, rows) @ (rows, characters).
        flat = ways.transpose(1, 2, 3, 0).reshape(count, patterns * longest, rows)
        places = (flat @ characters.transpose(1, 0, 2)).reshape(count, patterns, longest, NOTHING)
        texts = (places * _FITS[kinds]).argmax(axis=3)
        spelt = characters[:, plates[..., None], texts]
        seen = _forward(spelt, none)[-1, plates, np.arange(patterns), lengths]
        priors = np.array(
            [
                [self._of_shape(bytes(shape[:length])) for shape, length in zip(*one, strict=True)]
                for one in zip(_SHAPE.reshape(-1)[texts].astype(np.uint8), lengths, strict=True)
            ]
        )
        return texts, seen * np.einsum("bfc,cb->bf", priors, favour)

    def _fitting(self, shape: bytes) -> Numbers:
        """Weight in each country of all patterns that strings of a shape fit."""
        columns = _FIRSTS[list(shape)]
        fits = (self._lengths == len(shape)) & np.all(
            _FITS[self._kinds[:, : len(shape)], columns], axis=1
        )
        return np.asarray(self._weights[fits].sum(axis=0))

    def _marginals(self, through: Numbers, characters: Numbers) -> Numbers:
        """Weight of each character at each place: (plates, longest, 36)."""
        by_group = through.transpose(2, 1, 0) @ characters.transpose(1, 0, 2)
        by_group *= _MASKS[self._tree.group_kinds]
        starts = np.unique(self._tree.group_places, return_index=True)[1]
        return np.asarray(np.add.reduceat(by_group, starts, axis=1))


def _together(said: Sequence[Posterior]) -> Numbers:
    """Stacks of rows as one: (rows, plates, 37); those that are shorter end in empty rows."""
    seen = np.zeros((max(map(len, said)), len(said), len(ALPHABET)))
    seen[..., NOTHING] = 1.0
    for number, rows in enumerate(said):
        seen[: len(rows), number] = rows
    return seen


def _heaviest(mass: Numbers, count: int) -> Places:
    """The numbers of so many columns, for each row, the heaviest first. Takes mass apart."""
    rows = np.arange(len(mass))
    found = np.zeros((len(mass), count), np.intp)
    for turn in range(count):
        found[:, turn] = mass.argmax(axis=1)
        mass[rows, found[:, turn]] = -1.0
    return found


def _shares(marginals: Numbers) -> Posterior:
    """Rows that sum to 1 of what each character weighs at a place: (plates, places, 37)."""
    wholes = marginals.sum(axis=2, keepdims=True)
    rows: Posterior = np.zeros((*marginals.shape[:2], len(ALPHABET)), np.float32)
    rows[..., :NOTHING] = marginals / np.where(wholes > 0, wholes, 1.0)
    return rows


def _forward(places: Numbers, none: Numbers) -> Numbers:
    """How likely the first i rows spell the first j places of a pattern.

    places: (rows, plates, patterns, longest), chance that a row holds what the place asks for;
    none: (rows, plates). Returns (rows + 1, plates, patterns, longest + 1).
    """
    rows, plates, patterns, longest = places.shape
    forward = np.zeros((rows + 1, plates, patterns, longest + 1))
    forward[0, ..., 0] = 1.0
    for row in range(rows):
        forward[row + 1] = forward[row] * none[row, :, None, None]
        forward[row + 1, ..., 1:] += forward[row, ..., :-1] * places[row]
    return forward


def _backward(places: Numbers, none: Numbers, lengths: Places) -> Numbers:
    """How likely the rows from i on spell a pattern's places from j on, to its length."""
    rows, plates, patterns, longest = places.shape
    backward = np.zeros((rows + 1, plates, patterns, longest + 1))
    np.put_along_axis(backward[-1], lengths[..., None], 1.0, axis=2)
    for row in range(rows - 1, -1, -1):
        backward[row] = backward[row + 1] * none[row, :, None, None]
        backward[row, ..., :-1] += backward[row + 1, ..., 1:] * places[row]
    return backward


def _spelled(pattern: str) -> list[tuple[str, float]]:
    """A pattern's stars spelled out as letters and digits in runs, with the share of each.

    Some are of each kind: plates of one kind alone are formats of their own, and much rarer.
    """
    if "*" not in pattern:
        return [(pattern, 1.0)]
    found = []
    for kinds in product("A9", repeat=len(pattern)):
        if len(set(kinds)) == 2:
            share = 1.0
            for before, after in pairwise(kinds):
                share *= RUN if before == after else 1 - RUN
            found.append(("".join(kinds), share))
    whole = sum(share for _, share in found)
    return [(kinds, share / whole) for kinds, share in found]

"""What plates look like, country by country: read from formats.csv, never written in code.

Always true here: a pattern has one letter a character, A for a letter, 9 for a digit, C for a
consonant (Chile leaves out the vowels, M, N, Ñ and Q); rows without a country are the generic
plate, in which X is a letter or a digit, and so is *, but with both kinds in the plate and
characters of a kind in runs. A weight is a share
among the patterns of the same country, or among the generic ones.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lpr.errors import LprError

DATA = Path(__file__).parent / "formats.csv"
DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLASSES = {"A": LETTERS, "9": DIGITS, "C": "BCDFGHJKLPRSTVWXYZ", "X": DIGITS + LETTERS}
"""Characters that a place of a pattern may hold."""


@dataclass(frozen=True)
class Format:
    """One pattern of plates. country: ISO 3166-1 alpha-2, empty for the generic plate."""

    country: str
    vehicle: str
    pattern: str
    weight: float


@cache
def known() -> tuple[Format, ...]:
    """Every format there is. Raises LprError where the data names an unknown class."""
    with DATA.open(encoding="utf-8", newline="") as file:
        found = tuple(
            Format(row["country"], row["vehicle"], row["pattern"], float(row["weight"]))
            for row in csv.DictReader(file)
        )
    for one in found:
        if not one.pattern or set(one.pattern) - {*CLASSES, "*"} or one.weight <= 0:
            raise LprError(f"{DATA.name} has a format that can't be: {one}")
    return found


def countries() -> tuple[str, ...]:
    """The countries whose formats are known, in the order of the data."""
    return tuple(dict.fromkeys(one.country for one in known() if one.country))


def of(names: Iterable[str]) -> tuple[Format, ...]:
    """Formats of these countries, and the generic ones. Raises LprError for one not known."""
    wanted = {name.upper() for name in names}
    unknown = wanted - set(countries())
    if unknown:
        raise LprError(
            f"no plate formats are known for {', '.join(sorted(unknown))}; LPR_COUNTRIES takes "
            f"{', '.join(countries())}"
        )
    return tuple(one for one in known() if one.country in wanted or not one.country)

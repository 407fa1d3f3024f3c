"""Which plates a country issues: the patterns of formats.csv, beside the reader's own use of them.

Always true here: a pattern is one plate's length; A stands for a letter, C for a consonant, 9 for
a digit, anything else for itself.
"""

import csv
from functools import cache
from importlib.resources import files

_CLASSES = {"A": "[A-Z]", "C": "[B-DF-HJ-NP-TV-Z]", "9": "[0-9]"}


@cache
def _patterns() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with (files("lpr") / "formats.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["country"]:
                found.setdefault(row["country"], []).append(row["pattern"])
    return found


def countries() -> list[str]:
    """ISO 3166-1 alpha-2 codes of the countries whose formats are known, in order."""
    return sorted(_patterns())


def expression_of(country: str) -> str:
    """A regular expression that the whole plate matches; empty where no format is known."""
    patterns = dict.fromkeys(_patterns().get(country, ()))
    alternatives = ["".join(_CLASSES.get(c, c) for c in pattern) for pattern in patterns]
    return f"^(?:{'|'.join(alternatives)})$" if alternatives else ""

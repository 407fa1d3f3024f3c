"""The port every OCR model stands behind: places in pictures in, readings out.

Always true here: an adapter answers in the order of the places, one reading each, and gives what
the model says, the whole posterior, as it is: formats and calibration come after, in
interpretation.py. How much it wants to see around a plate is the adapter's own affair; which
adapter runs is decided in catalogue.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lpr.reading import Reading, Sight


class Recogniser(Protocol):
    """Reads plates."""

    @property
    def name(self) -> str:
        """As an operator knows the model."""
        ...

    def read(self, sights: Sequence[Sight]) -> list[Reading]:
        """One reading a place, in their order. Boxes that lie outside the picture are an error."""
        ...

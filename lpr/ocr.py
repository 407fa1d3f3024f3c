"""The port every OCR model stands behind: crops of plates in, readings out.

Always true here: an adapter answers in the order of the crops, one reading each, and gives the
whole posterior, not its best string alone; which adapter runs is decided in catalogue.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lpr.reading import Picture, Reading


class Recogniser(Protocol):
    """Reads plates."""

    @property
    def name(self) -> str:
        """As an operator knows the model."""
        ...

    @property
    def margin(self) -> float:
        """What the model likes to see around a detected plate, as a share of its height."""
        ...

    def read(self, crops: Sequence[Picture]) -> list[Reading]:
        """One reading a crop (BGR, not empty), in their order."""
        ...

"""What a drawn plate is labelled with, and how the labels become numbers.

Always true here: nothing but the standard library and numpy, so that drawing, training, export
and the model's config agree without anyone importing torch.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
"""The model's characters; the last pads plates shorter than SLOTS."""
SLOTS = 10
REGIONS = ("AR", "BR", "UY", "PY", "CL", "BO", "CO", "MX", "US", "EU", "OTHER")
"""What the country head tells apart. EU and OTHER are no countries: the reader shows none."""
HEIGHT, WIDTH = 64, 160
"""The model's picture, in pixels."""
GRID = (8, 40)
"""Rows and columns of the cells in which the network looks for characters."""
NOBODY, UNKNOWN = 255, 254
"""In a picture's cells instead of a place in the text: no character stands there; not known."""
REGION_NAMES = tuple({"EU": "Europe", "OTHER": "Other"}.get(name, name) for name in REGIONS)
"""The regions as the model's config names them: what is no country must not look like a code."""

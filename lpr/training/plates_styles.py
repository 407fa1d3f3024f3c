"""Which plates are drawn, and how often: every region's styles.

Always true here: a style draws from the random generator it is handed and from nothing else, so a
seed gives the same plate.
"""

from __future__ import annotations

import random

from lpr.training import plates_north as north
from lpr.training import plates_south as south
from lpr.training.plates_common import Style
from lpr.training.plates_faces import Face
from lpr.training.plates_sheet import Plate

STYLES: dict[str, tuple[tuple[float, Style], ...]] = {
    "AR": ((12.0, south.argentina_old), (11.0, south.argentina), (3.0, south.argentina_motorcycle)),
    "BR": ((10.0, south.brazil_old), (7.0, south.brazil)),
    "UY": ((3.0, south.URUGUAY),),
    "PY": ((3.0, south.PARAGUAY),),
    "CL": ((4.0, south.CHILE),),
    "BO": ((2.5, south.BOLIVIA),),
    "CO": ((4.5, south.COLOMBIA),),
    "MX": ((5.0, south.MEXICO),),
    "US": ((15.0, north.united_states),),
    "EU": ((12.0, north.europe),),
    "OTHER": ((6.0, north.anything),),
}
"""For each region of plates_labels.REGIONS, its styles, each with how often it is drawn."""


def draw(rng: random.Random, face: Face, region: str | None = None) -> Plate:
    """A plate of `region`, or of any, as often as STYLES says."""
    regions = STYLES if region is None else {region: STYLES[region]}
    weighted = [pair for styles in regions.values() for pair in styles]
    style = rng.choices([s for _, s in weighted], [w for w, _ in weighted])[0]
    return style(rng, face)

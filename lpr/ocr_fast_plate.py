"""fast-plate-ocr behind the OCR port: a model of its hub, or any model with a config like theirs.

Always true here: pictures are turned to the colours the model's config asks for, all crops go
through the model together, and every slot's whole distribution becomes a row of the posterior.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from fast_plate_ocr import LicensePlateRecognizer
from fast_plate_ocr.core.process import resize_image

from lpr import inference
from lpr.errors import ModelError
from lpr.reading import ALPHABET, NOTHING, Picture, Posterior, Reading, Sight
from lpr.regions import alpha2

MARGIN = 0.1
"""What is shown around a plate, as a share of its height: the hub's models learnt loose crops."""
LEAST = 1e-7
"""Probability that a view leaves every character."""
WIDER = 0.2
"""The same for a second view, where there is time for one."""


class FastPlateOcr:
    """A model of fast-plate-ocr, from its ONNX file and its plate config.

    margins: one view of each plate for each, a share of its height. Raises ModelError where model
    or config can't be loaded.
    """

    def __init__(
        self,
        model: Path,
        config: Path,
        *,
        threads: int = 1,
        name: str = "",
        margins: Sequence[float] = (MARGIN,),
    ) -> None:
        self._margins = tuple(margins)
        try:
            self._recognizer = LicensePlateRecognizer(
                onnx_model_path=model,
                plate_config_path=config,
                providers=["CPUExecutionProvider"],
                sess_options=inference.options(threads),
            )
            self._parts = inference.InParts(self._recognizer.model, model, threads)
        except Exception as error:
            raise ModelError(
                f"the OCR model {model} with {config.name} can't be loaded "
                f"({type(error).__name__}); give another in LPR_OCR_MODEL, or 'auto'"
            ) from error
        self._name = name or model.stem
        settings = self._recognizer.config
        # Columns of ours that the model's characters belong to; what is in no plate counts as
        # "no character".
        self._columns = [
            NOTHING if character == settings.pad_char else _column(character)
            for character in settings.alphabet
        ]
        self._regions = [alpha2(label) for label in settings.plate_regions or ()]

    @property
    def name(self) -> str:
        return self._name

    def read(self, sights: Sequence[Sight]) -> list[Reading]:
        """One reading a place, in their order."""
        if not sights:
            return []
        crops = [_shown(sight, margin) for margin in self._margins for sight in sights]
        names = self._recognizer.output_names
        outputs = dict(zip(names, self._parts.run(names, crops, self._batch), strict=True))
        settings = self._recognizer.config
        slots = np.asarray(outputs[self._recognizer.plate_output_name], np.float32).reshape(
            len(crops), settings.max_plate_slots, len(settings.alphabet)
        )
        rows: Posterior = np.zeros((*slots.shape[:2], len(ALPHABET)), np.float32)
        for source, column in enumerate(self._columns):
            rows[..., column] += slots[..., source]
        # Slots of two views of a plate belong together: what is sent is their geometric mean.
        views = np.log(np.maximum(rows / rows.sum(axis=2, keepdims=True), LEAST))
        rows = np.exp(views.reshape(len(self._margins), len(sights), *rows.shape[1:]).mean(axis=0))
        rows /= rows.sum(axis=2, keepdims=True)
        # The first view's say on the country.
        regions = self._regions_of(outputs, len(crops))[: len(sights)]
        return [
            Reading.of(row, max(said, key=said.__getitem__, default=""), said)
            for row, said in zip(rows, regions, strict=True)
        ]

    def _batch(self, crops: Sequence[Picture]) -> Picture:
        """Crops as the model takes them: (n, height, width, channels)."""
        settings = self._recognizer.config
        colours = cv2.COLOR_BGR2RGB if settings.image_color_mode == "rgb" else cv2.COLOR_BGR2GRAY
        return np.stack(
            [
                resize_image(
                    cv2.cvtColor(crop, colours),
                    settings.img_height,
                    settings.img_width,
                    image_color_mode=settings.image_color_mode,
                    keep_aspect_ratio=settings.keep_aspect_ratio,
                    interpolation_method=settings.interpolation,
                    padding_color=settings.padding_color,
                )
                for crop in crops
            ]
        ).astype(np.uint8)

    def _regions_of(self, outputs: dict[str, np.ndarray], count: int) -> list[dict[str, float]]:
        """Probability of each country, for each crop; nothing where the model has no say."""
        if not self._recognizer.has_region_head:
            return [{}] * count
        found = []
        for said in np.asarray(outputs["region"]).reshape(count, -1):
            shares: dict[str, float] = defaultdict(float)
            for region, share in zip(self._regions, said, strict=True):
                shares[region] += float(share)
            found.append(dict(shares))
        return found


def _shown(sight: Sight, margin: float) -> Picture:
    """The plate with its margin; where the picture ends before that, its edge goes on."""
    crop = sight.crop(margin)
    height, width = sight.picture.shape[:2]
    wanted = margin * sight.box.height
    box = sight.box
    beyond = (
        wanted - box.y,
        box.y + box.height + wanted - height,
        wanted - box.x,
        box.x + box.width + wanted - width,
    )
    edges = [max(0, round(min(wanted, pixels))) for pixels in beyond]
    if not any(edges):
        return crop
    top, bottom, left, right = edges
    whole = cv2.copyMakeBorder(crop, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(whole, np.uint8)


def _column(character: str) -> int:
    column = ALPHABET.find(character.upper())
    return column if column >= 0 else NOTHING

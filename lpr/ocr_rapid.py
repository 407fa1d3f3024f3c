"""RapidOCR's recogniser behind the OCR port: weights from its wheel, so no network is needed.

The wheel's ONNX file (Apache-2.0) is run directly: importing the package would set up its own
logging and offer to download other models, and its API hides the characters' probabilities.
Always true here: the CTC output is folded to A-Z 0-9 before it is decoded (lower case counts as
upper case, anything else as no character).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lpr import inference
from lpr.errors import ModelError
from lpr.reading import ALPHABET, NOTHING, Picture, Posterior, Reading, Sight

HEIGHT = 48
"""The model's input height in pixels."""
STRETCH = 1.25
"""Plates' letters are narrower than print: shown wider, fewer are lost between two others."""
TWO_LINES = 1.65
"""A plate less than so many times as wide as high may have two lines."""
SHARED = 0.05
"""Share of its height that either line has of the other's half."""
ALIKE = 0.5
"""How alike two halves may read; beyond it they are the halves of one line."""
SMALLEST_LINE = 8
"""Pixels of height that a line needs."""
NARROWEST, WIDEST = 320, 640
"""Limits of its input width: narrower is padded (unpadded crops read worse), wider is squeezed."""


class RapidOcr:
    """The text recogniser of RapidOCR's wheel.

    Raises ModelError where the wheel holds none.
    """

    name = "rapidocr"

    def __init__(self, *, threads: int = 1) -> None:
        model = wheel_model()
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), inference.options(threads), providers=["CPUExecutionProvider"]
            )
            characters = self._session.get_modelmeta().custom_metadata_map["character"]
        except Exception as error:
            raise ModelError(
                f"RapidOCR's model {model} can't be loaded; install rapidocr again"
            ) from error
        self._input = self._session.get_inputs()[0].name
        classes = self._session.get_outputs()[0].shape[2]
        # Class 0 is CTC's blank; the characters follow.
        self._columns = np.full(classes, NOTHING)
        for place, character in enumerate(characters.splitlines(), start=1):
            if len(character) == 1 and character.isascii() and character.isalnum():
                self._columns[place] = ALPHABET.index(character.upper())
        self._told = np.nonzero(self._columns != NOTHING)[0]

    def read(self, sights: Sequence[Sight]) -> list[Reading]:
        """One reading a place, in their order. They go one by one: their widths differ."""
        return [self._read(sight.crop()) for sight in sights]

    def _read(self, crop: Picture) -> Reading:
        """A plate about as high as wide is also read as two lines, as motorcycles have them."""
        one = Reading.of(self._posterior(crop))
        height, width = crop.shape[:2]
        if width >= TWO_LINES * height or height < 2 * SMALLEST_LINE:
            return one
        upper, lower = (
            crop[: round((0.5 + SHARED) * height)],
            crop[round((0.5 - SHARED) * height) :],
        )
        lines = [self._posterior(upper), self._posterior(lower)]
        texts = [Reading.of(line).plate for line in lines]
        if SequenceMatcher(a=texts[0], b=texts[1], autojunk=False).ratio() > ALIKE:
            return one
        two = Reading.of(np.concatenate(lines))
        # Sureness alone would favour one line of the two.
        return max(one, two, key=lambda reading: reading.confidence * len(reading.plate))

    def _posterior(self, crop: Picture) -> Posterior:
        output = self._session.run(None, {self._input: _input(crop)})[0][0]
        steps: Posterior = np.zeros((len(output), len(ALPHABET)), np.float32)
        np.add.at(steps.T, self._columns[self._told], output[:, self._told].T)
        steps[:, NOTHING] = np.clip(1 - steps.sum(axis=1), 0, 1)
        return decode(steps)


def decode(steps: Posterior) -> Posterior:
    """CTC, best path: one row for each run of the same character, at its surest step.

    steps: (time, 37), rows sum to 1. Returns (characters, 37).
    """
    best = steps.argmax(axis=1)
    rows = []
    start = 0
    for step in range(1, len(best) + 1):
        if step < len(best) and best[step] == best[start]:
            continue
        if best[start] != NOTHING:
            surest = start + int(steps[start:step, best[start]].argmax())
            rows.append(steps[surest])
        start = step
    if not rows:
        return np.zeros((0, len(ALPHABET)), np.float32)
    return np.stack(rows)


def wheel_model() -> Path:
    """The recogniser's file in the installed wheel; nothing is imported or fetched."""
    found = importlib.util.find_spec("rapidocr")
    for folder in (found.submodule_search_locations or ()) if found else ():
        models = sorted(Path(folder, "models").glob("*rec*.onnx"))
        if models:
            return models[0]
    raise ModelError("RapidOCR's wheel holds no recogniser; install rapidocr again")


def _input(crop: Picture) -> NDArray[np.float32]:
    """(1, 3, HEIGHT, width), -1..1, padded with 0 on the right."""
    width = max(1, min(WIDEST, round(STRETCH * HEIGHT * crop.shape[1] / crop.shape[0])))
    scaled = cv2.resize(crop, (width, HEIGHT)).astype(np.float32) / 127.5 - 1
    padded = np.zeros((1, 3, HEIGHT, max(width, NARROWEST)), np.float32)
    padded[0, :, :, :width] = scaled.transpose(2, 0, 1)
    return padded

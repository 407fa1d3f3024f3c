"""A trained OCR network as the two files that the reader carries: ONNX, and its config.

Always true here: the files are written only after the ONNX model has been run and gives what the
network gives.

    python -m lpr.training.ocr_export RUN/average.pt lpr/models/plate_ocr.onnx
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from lpr.training.ocr_net import PlateReader
from lpr.training.plates_labels import ALPHABET, HEIGHT, REGION_NAMES, SLOTS, WIDTH

OPSET = 17
_TOLERANCE = 1e-3

CONFIG = f"""\
# What fast-plate-ocr has to know of the model beside this file; written by lpr.training.ocr_export.
max_plate_slots: {SLOTS}
alphabet: '{ALPHABET}'
pad_char: '_'
img_height: {HEIGHT}
img_width: {WIDTH}
keep_aspect_ratio: false
interpolation: linear
image_color_mode: rgb
plate_regions: [{", ".join(REGION_NAMES)}]
"""


def export(weights: Path, model: Path) -> None:
    """Writes `model` and, beside it, its config (.yaml).

    Raises ValueError where the ONNX model disagrees with the network.
    """
    network = PlateReader()
    network.load_state_dict(torch.load(weights, map_location="cpu"))
    network.eval()
    pictures = torch.randint(0, 256, (3, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter that torch prefers needs another package and writes larger files.
        warnings.simplefilter("ignore", DeprecationWarning)
        draft = Path(folder, model.name)
        torch.onnx.export(
            network,
            (pictures,),
            str(draft),
            input_names=["input"],
            output_names=["plate", "region"],
            dynamic_axes={"input": {0: "n"}, "plate": {0: "n"}, "region": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])
        with torch.no_grad():
            expected = network(pictures)
        for ours, theirs in zip(
            expected, session.run(None, {"input": pictures.numpy()}), strict=True
        ):
            if not np.allclose(ours.numpy(), theirs, atol=_TOLERANCE):
                raise ValueError("the ONNX model gives other probabilities than the network")
        model.write_bytes(draft.read_bytes())
    model.with_suffix(".yaml").write_text(CONFIG)


def main() -> None:
    """Exports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("weights", type=Path, help="average.pt of a run of lpr.training.ocr_train")
    parser.add_argument("model", type=Path, help="the .onnx file; its .yaml is written beside it")
    given = parser.parse_args()
    export(given.weights, given.model)
    print(f"{given.model} ({given.model.stat().st_size / 1e6:.1f} MB) and its .yaml written")


if __name__ == "__main__":
    main()

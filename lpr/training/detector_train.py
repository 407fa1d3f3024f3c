"""Trains the plate detector and exports it: `python -m lpr.training.detector_train`. Needs PyTorch.

Always true here: what is learnt follows from the seed, the number of steps and the frames; training
that was stopped goes on from its last checkpoint with the same scenes it would have seen. The model
exported is the running mean of the weights.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

try:
    import torch
except ImportError as error:
    raise SystemExit(
        "training needs PyTorch; 'make train-detector' installs it beside the reader"
    ) from error

from lpr.training.detector_export import begin_from, export
from lpr.training.detector_net import DetectorNet, loss
from lpr.training.scenes import Frame, draw_scene, load_frames
from lpr.training.scenes_targets import target

Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]

RATE, WARM_UP, DECAY = 1.2e-3, 100, 1e-4
MEAN_OVER = 400
"""Steps that the running mean of the weights looks back over."""
EVERY = 50
"""Steps between two lines that tell how it goes."""


class Scenes(torch.utils.data.Dataset):  # type: ignore[misc]
    """Batches of scenes by number."""

    def __init__(self, frames: list[Frame], seed: int, batch: int, side: int) -> None:
        self._frames, self._seed, self._batch, self._side = frames, seed, batch, side

    def __getitem__(self, number: int) -> Batch:
        first = number * self._batch
        scenes = [
            draw_scene(self._frames, self._seed, one, side=self._side)
            for one in range(first, first + self._batch)
        ]
        return (
            np.stack([scene.picture for scene in scenes]),
            np.stack([target(scene) for scene in scenes]),
        )


def rate(step: int, steps: int) -> float:
    """A cosine from RATE to nothing, after a warm-up."""
    return RATE * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(
    frames: Path,
    out: Path,
    *,
    start: Path | None,
    steps: int,
    batch: int,
    side: int,
    seed: int,
    save_seconds: float,
) -> None:
    """Trains up to `steps`, leaves checkpoint.pt and plate_detector.onnx in `out`.

    start: an exported model whose weights are gone on from, as far as it has them.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # Before the process that draws is forked: threads don't survive that.
    out.mkdir(parents=True, exist_ok=True)
    model = DetectorNet().to(memory_format=torch.channels_last)
    if start is not None:
        begin_from(start, model)
    mean = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    step = _resume(out / "checkpoint.pt", model, mean, optimiser)
    saved = time.monotonic()
    told = np.zeros(2)
    for pictures, targets in _batches(load_frames(frames), seed, batch, side, step, steps):
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer = model.raw(pictures)
        heat, boxes = loss(answer.float(), targets)
        optimiser.zero_grad(set_to_none=True)
        (heat + 1.5 * boxes).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        step += 1
        _average(mean, model, step)
        told += heat.item(), boxes.item()
        if step % EVERY == 0:
            print(f"step {step} heat {told[0] / EVERY:.3f} boxes {told[1] / EVERY:.3f}", flush=True)
            told[:] = 0
        if time.monotonic() - saved > save_seconds or step == steps:
            _save(out / "checkpoint.pt", model, mean, optimiser, step)
            export(mean, out / "plate_detector.onnx")
            saved = time.monotonic()


# ---- within ----------------------------------------------------------------


def _batches(
    frames: list[Frame], seed: int, batch: int, side: int, first: int, last: int
) -> Iterator[tuple[Any, Any]]:
    if not frames:
        raise SystemExit("there is no frame to learn from; name their folder with --frames")
    yield from torch.utils.data.DataLoader(
        Scenes(frames, seed, batch, side),
        batch_size=None,
        sampler=range(first, last),
        num_workers=1,
        prefetch_factor=8,
    )


def _average(mean: Any, model: Any, step: int) -> None:
    keep = min(1 - 1 / MEAN_OVER, step / (step + 10))
    with torch.no_grad():
        for slow, fast in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
            if slow.dtype.is_floating_point:
                slow.lerp_(fast, 1 - keep)
            else:
                slow.copy_(fast)


def _save(path: Path, model: Any, mean: Any, optimiser: Any, step: int) -> None:
    part = path.with_suffix(".part")
    state = {
        "model": model.state_dict(),
        "mean": mean.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    torch.save(state, part)
    part.replace(path)


def _resume(path: Path, model: Any, mean: Any, optimiser: Any) -> int:
    """The step reached before; 0 where nothing is kept."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    mean.load_state_dict(state["mean"])
    optimiser.load_state_dict(state["optimiser"])
    print(f"going on from step {state['step']}", flush=True)
    return int(state["step"])


def main() -> None:
    """The command."""
    asked = argparse.ArgumentParser(description="train the plate detector")
    asked.add_argument("--frames", type=Path, default=Path("../shared/data/frames"))
    asked.add_argument("--out", type=Path, required=True, help="folder of checkpoint and model")
    asked.add_argument("--start", type=Path, help="an exported model to go on from")
    asked.add_argument("--steps", type=int, default=7000)
    asked.add_argument("--batch", type=int, default=16)
    asked.add_argument("--side", type=int, default=320)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--save-seconds", type=float, default=180)
    given = asked.parse_args()
    train(
        given.frames,
        given.out,
        start=given.start,
        steps=given.steps,
        batch=given.batch,
        side=given.side,
        seed=given.seed,
        save_seconds=given.save_seconds,
    )


if __name__ == "__main__":
    main()

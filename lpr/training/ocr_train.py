"""Trains the OCR network on the shards of ocr_pool.

Always true here: a run is seeded and resumable (kill it at any time, start it again with the same
folder); shards may still be appearing while it runs; what is kept for use is the average of the
weights over the last steps, not the last step.

    python -m lpr.training.ocr_train POOL RUN --steps 6000
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the customary name

from lpr.training.ocr_net import PlateReader, Seen
from lpr.training.ocr_pool import Shard
from lpr.training.plates_labels import ALPHABET, SLOTS, UNKNOWN

BATCH = 32
RATE = 2e-3
WARM_UP = 200
AVERAGE = 0.998
"""How much of the averaged weights a step keeps."""
SAVE_EVERY, TELL_EVERY = 400, 100
_PAD = ALPHABET.index("_")


class Batches:
    """Endless batches from the shards that are there, new ones joining as they appear."""

    def __init__(self, pool: Path, seed: int) -> None:
        self._pool = pool
        self._rng = np.random.default_rng(seed)
        self._shards: dict[str, Shard] = {}

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        while True:
            self._look()
            names = list(self._shards)
            # Every picture once a round; pieces of eight keep the reads on disk together.
            pieces = [
                (name, start)
                for name in names
                for start in range(0, len(self._shards[name].pictures) - 7, 8)
            ]
            order = self._rng.permutation(len(pieces))
            for first in range(0, len(order) - 7, BATCH // 8):
                chosen = [pieces[at] for at in order[first : first + BATCH // 8]]
                yield self._batch(chosen)
                if first % 512 == 0 and self._look():
                    break  # a new shard: begin a round with it

    def _look(self) -> bool:
        found = sorted(p.name for p in self._pool.glob("shard-*"))
        fresh = [name for name in found if name not in self._shards]
        for name in fresh:
            self._shards[name] = Shard.at(self._pool / name)
        if not self._shards:
            raise SystemExit(f"{self._pool} holds no shards: run lpr.training.ocr_pool first")
        return bool(fresh)

    def _batch(self, chosen: list[tuple[str, int]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shards = [(self._shards[name], slice(start, start + 8)) for name, start in chosen]
        pictures = np.concatenate([s.pictures[part] for s, part in shards])
        return (
            vary(torch.from_numpy(pictures), self._rng),
            torch.from_numpy(np.concatenate([s.cells[part] for s, part in shards])),
            torch.from_numpy(np.concatenate([s.labels[part] for s, part in shards])).long(),
            torch.from_numpy(np.concatenate([s.regions[part] for s, part in shards])).long(),
        )


def vary(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """The cheap changes that make a picture another one each round: light, colour, a shift."""
    n = len(pictures)

    def draw(sigma: float) -> Tensor:
        return torch.from_numpy(rng.normal(0, sigma, (n, 1, 1, 1)).astype(np.float32))

    def chance(share: float) -> Tensor:
        return torch.from_numpy((rng.random((n, 1, 1, 1)) < share).astype(np.float32))

    light = pictures.float()
    light = light * (1 + draw(0.12)) + draw(10)
    light = torch.lerp(light, light.mean(3, keepdim=True), chance(0.2))
    light = torch.lerp(light, 255 - light, chance(0.03))
    light = torch.roll(light, (int(rng.integers(-2, 3)), int(rng.integers(-2, 3))), (1, 2))
    return light.clamp(0, 255).to(torch.uint8)


def loss_of(seen: Seen, cells: Tensor, labels: Tensor, regions: Tensor) -> Tensor:
    """What is read (1), where (0.5), what lies on each cell (0.5), which country (0.1)."""
    weight = torch.where(labels == _PAD, 0.3, 1.0)
    plate = F.cross_entropy(seen.plate.float().transpose(1, 2), labels, reduction="none")
    plate_loss = (plate * weight).sum() / weight.sum()

    known = cells[:, 0, 0] != UNKNOWN
    standing = cells.flatten(1).long()  # (n, cells): place in the text, or NOBODY
    places = torch.arange(SLOTS).view(1, -1, 1)
    on = (standing.unsqueeze(1) == places).float()
    nowhere = (on.sum(2, keepdim=True) == 0).float()
    target = torch.cat([on, nowhere], 2)
    target = target / target.sum(2, keepdim=True)
    places_loss = -(target * torch.log_softmax(seen.places.float(), 2)).sum(2)[known].mean()

    padded = F.pad(labels, (0, 1), value=_PAD)
    at = torch.where(standing >= UNKNOWN, SLOTS, standing)
    characters = padded.gather(1, at)
    blank = torch.ones(len(ALPHABET))
    blank[_PAD] = 0.2
    cells_loss = F.cross_entropy(
        seen.cells.float().flatten(2)[known], characters[known], weight=blank
    )
    region_loss = F.cross_entropy(seen.region.float(), regions)
    return plate_loss + 0.5 * places_loss + 0.5 * cells_loss + 0.1 * region_loss


def exact(network: PlateReader, shard: Shard, count: int = 1024) -> tuple[float, float, float]:
    """Shares of whole plates, of characters and of regions right."""
    network.eval()
    plates, characters, regions = [], [], []
    for start in range(0, min(count, len(shard.pictures)), 128):
        part = slice(start, start + 128)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            seen = network.see(torch.from_numpy(np.array(shard.pictures[part])))
        right = seen.plate.argmax(-1).numpy() == shard.labels[part]
        written = shard.labels[part] != _PAD
        plates.append(right.all(1))
        characters.append(right[written])
        regions.append(seen.region.argmax(-1).numpy() == shard.regions[part])
    network.train()
    together = [float(np.concatenate(each).mean()) for each in (plates, characters, regions)]
    return together[0], together[1], together[2]


def train(pool: Path, run: Path, steps: int, seed: int, rate: float = RATE) -> None:
    """Trains to `steps` from wherever `run` stands; writes run/state.pt and run/average.pt."""
    torch.manual_seed(seed)
    network = PlateReader().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.02, fused=True)
    average = {key: value.clone() for key, value in network.state_dict().items()}
    step = 0
    run.mkdir(parents=True, exist_ok=True)
    if (run / "state.pt").is_file():
        state: dict[str, Any] = torch.load(run / "state.pt")
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average, step = state["average"], state["step"]
    validation = Shard.at(pool / "validation") if (pool / "validation").is_dir() else None
    network.train()
    started, told = time.monotonic(), 0.0
    for pictures, cells, labels, regions in Batches(pool, seed + step):
        if step >= steps:
            break
        for group in optimiser.param_groups:
            wave = 0.5 * (1 + math.cos(math.pi * step / steps))
            group["lr"] = rate * min(1.0, (step + 1) / WARM_UP) * wave + 1e-6
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen = network.see(pictures)
        loss = loss_of(seen, cells, labels, regions)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        step += 1
        told += loss.item()
        keep = min(AVERAGE, (1 + step) / (10 + step))
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                average[key].lerp_(value, 1 - keep)
            else:
                average[key].copy_(value)
        if step % TELL_EVERY == 0:
            print(
                f"{step} {time.monotonic() - started:.0f} s, loss {told / TELL_EVERY:.3f}",
                flush=True,
            )
            told = 0.0
        if step % SAVE_EVERY == 0 or step == steps:
            _save(run, network, optimiser, average, step)
            if validation is not None:
                judged = PlateReader().to(memory_format=torch.channels_last)
                judged.load_state_dict(average)
                plates, characters, countries = exact(judged, validation)
                print(
                    f"{step} validation: plates {plates:.3f}, characters {characters:.3f}, "
                    f"countries {countries:.3f}",
                    flush=True,
                )


def _save(
    run: Path,
    network: PlateReader,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    step: int,
) -> None:
    state = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average,
        "step": step,
    }
    for name, content in (("state.pt", state), ("average.pt", average)):
        torch.save(content, run / f".{name}")
        (run / f".{name}").replace(run / name)


def main() -> None:
    """Trains, or goes on training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pool", type=Path, help="shards, as lpr.training.ocr_pool draws them")
    parser.add_argument("run", type=Path, help="where the state is kept")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train(given.pool, given.run, given.steps, given.seed)


if __name__ == "__main__":
    main()

"""The OCR network: where each character stands, then what it is.

Always true here: pictures enter as fast-plate-ocr gives them (uint8, NHWC, RGB) and probabilities
leave; each slot looks at the picture through one map of cells, which training is told outright
(the drawing knows where the characters are), so that few pictures suffice.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the customary name

from lpr.training.plates_labels import ALPHABET, GRID, REGIONS, SLOTS


class Seen(NamedTuple):
    """What the network says of a batch of n pictures, as logits.

    plate: (n, SLOTS, characters). region: (n, regions). places: (n, SLOTS, cells + 1), the last
    cell being "nowhere". cells: (n, characters, *GRID), the character each cell lies on.
    """

    plate: Tensor
    region: Tensor
    places: Tensor
    cells: Tensor


class PlateReader(nn.Module):  # type: ignore[misc]
    """Convolutions to GRID cells, attention over coarser ones for the order, a map a slot."""

    def __init__(self, width: int = 96, layers: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(3, 24, (2, 2)),
            _convolution(24, 48, (2, 1)),
            _convolution(48, 64, (2, 2)),
            _convolution(64, width),
        )
        self.refine = nn.Sequential(_Residual(width), _Residual(width))
        self.coarse = _convolution(width, width, (2, 2))
        rows, columns = GRID[0] // 2, GRID[1] // 2
        self.position = nn.Parameter(torch.randn(1, rows * columns, width) * 0.02)
        self.order = nn.Sequential(*(_Block(width) for _ in range(layers)))
        self.places = nn.Conv2d(width, SLOTS, 1)
        self.nowhere = nn.Linear(width, SLOTS)
        self.value = nn.Conv2d(width, width, 1)
        self.slot = nn.Parameter(torch.randn(1, SLOTS, width) * 0.1)
        self.around = nn.Linear(width, width)
        self.agree = _Block(width)
        self.characters = nn.Linear(width, len(ALPHABET))
        self.cells = nn.Conv2d(width, len(ALPHABET), 1)
        self.region = nn.Linear(width, len(REGIONS))

    def see(self, pictures: Tensor) -> Seen:
        """pictures: (n, 64, 160, 3), uint8."""
        x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
        local = self.refine(self.stem(x))
        coarse = self.coarse(local)
        n, width, rows, columns = coarse.shape
        tokens = self.order(coarse.flatten(2).transpose(1, 2) + self.position)
        whole = tokens.mean(1)
        context = tokens.transpose(1, 2).reshape(n, width, rows, columns)
        context = F.interpolate(context, scale_factor=2.0, mode="nearest")
        both = local + context
        places = torch.cat([self.places(both).flatten(2), self.nowhere(whole).unsqueeze(2)], dim=2)
        values = self.value(F.relu(both)).flatten(2)
        weights = torch.softmax(places.float(), dim=2)[:, :, :-1].to(values.dtype)
        slots = weights @ values.transpose(1, 2)
        slots = self.agree(slots + self.slot + self.around(whole).unsqueeze(1))
        return Seen(
            self.characters(slots),
            self.region(whole + slots.mean(1)),
            places,
            self.cells(F.relu(local)),
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities: (n, SLOTS, characters) and (n, regions)."""
        seen = self.see(pictures)
        return torch.softmax(seen.plate, dim=-1), torch.softmax(seen.region, dim=-1)


def _convolution(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _convolution(width, width),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.change(x))


class _Block(nn.Module):  # type: ignore[misc]
    """A transformer layer, written out so that it exports as plain operators."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.mixed = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        mixed = self.mixed(self.before(x)).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5, -1)
        x = x + self.out((weights @ value).transpose(1, 2).reshape(n, tokens, width))
        return x + self.think(self.between(x))

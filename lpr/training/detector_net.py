"""The detector's network, what it is taught at each cell, and its loss. Needs PyTorch.

Always true here: pictures are uint8 (n, height, width, 3), RGB, sides multiples of 32; an answer
has a cell for every 8 × 8 pixels and five values in it: whether a plate's centre is there, its
offset from the cell's middle in cells, and the logarithms of its width and height in units of 8
pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def _conv(inside: int, outside: int, *, stride: int = 1, apart: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, apart, apart), nn.ReLU(inplace=True))


class _Twice(nn.Module):  # type: ignore[misc]
    """Two convolutions added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class DetectorNet(nn.Module):  # type: ignore[misc]
    """A trunk at an eighth of the picture's size, and what is around from a 32nd added to it.

    There is no normalisation: the trunk goes on from weights it was folded into, and does without.
    What is added starts at nothing, so that a trunk with weights is as good as it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Sequential(
            _conv(3, 12, stride=2),
            _conv(12, 24, stride=2),
            _conv(24, 24),
            _conv(24, 48, stride=2),
            _conv(48, 48),
        )
        self.wider = nn.Sequential(
            _conv(48, 48, apart=2), _conv(48, 48, apart=4), _conv(48, 48, apart=8)
        )
        self.sixteenth = nn.Sequential(_conv(48, 80, stride=2), _conv(80, 80))
        self.last = nn.Sequential(_conv(80, 96, stride=2), _Twice(96), _Twice(96))
        self.from_last = nn.Conv2d(96, 48, 1)
        self.from_sixteenth = nn.Conv2d(80, 48, 1)
        self.up = _conv(48, 48)
        self.around = nn.Conv2d(48, 48, 1)
        self.out = _conv(48, 48)
        self.head = nn.Conv2d(48, 5, 1)
        for one in self.modules():
            if isinstance(one, nn.Conv2d):
                nn.init.kaiming_normal_(one.weight, nonlinearity="relu")
                nn.init.zeros_(one.bias)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias[:1], -4.6)  # A centre in a cell of a hundred, at first.
        nn.init.zeros_(self.around.weight)

    def trunk(self) -> list[Any]:
        """The convolutions that a model without its surroundings has, in order."""
        layers = [*self.before, *self.wider, self.out]
        return [*(layer[0] for layer in layers), self.head]

    def raw(self, pictures: Tensor) -> Tensor:
        """(n, 5, height / 8, width / 8), the heat as a logit."""
        eighth = self.before(pictures.permute(0, 3, 1, 2).float() / 255.0)
        sixteenth = self.sixteenth(eighth)
        deep = functional.interpolate(self.from_last(self.last(sixteenth)), scale_factor=2.0)
        deep = self.up(functional.relu(deep + self.from_sixteenth(sixteenth)))
        around = functional.interpolate(self.around(deep), scale_factor=2.0)
        answer: Tensor = self.head(self.out(self.wider(eighth) + around))
        return answer

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, height / 8, width / 8, 5), the heat as a score 0..1."""
        answer = self.raw(pictures)
        return torch.cat([torch.sigmoid(answer[:, :1]), answer[:, 1:]], 1).permute(0, 2, 3, 1)


def loss(answer: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(heat's, boxes'): focal as in CenterNet (arXiv:1904.07850); 1 - DIoU (arXiv:1911.08287).

    answer: (n, 5, rows, columns) as `raw` gives it. target: (n, 7, rows, columns) as
    scenes_targets.py draws it.
    """
    heat, wanted, care = (
        torch.sigmoid(answer[:, 0]).clamp(1e-4, 1 - 1e-4),
        target[:, 0],
        target[:, 6],
    )
    centre = (wanted == 1).float()
    right = centre * (1 - heat) ** 2 * torch.log(heat)
    wrong = (1 - centre) * (1 - wanted) ** 4 * heat**2 * torch.log(1 - heat) * care
    count = centre.sum().clamp(min=1)
    return -(right + wrong).sum() / count, _box_loss(answer, target) / count


def _box_loss(answer: Tensor, target: Tensor) -> Tensor:
    weight = target[:, 5]
    batch, row, column = weight.nonzero(as_tuple=True)
    shift_x, shift_y, wide, high = answer[batch, 1:, row, column].unbind(1)
    wide, high = wide.clamp(-3, 5).exp(), high.clamp(-3, 5).exp()
    x, y = column + 0.5 + shift_x, row + 0.5 + shift_y
    left, top, right, bottom = target[batch, 1:5, row, column].unbind(1)
    across = torch.minimum(x + wide / 2, right) - torch.maximum(x - wide / 2, left)
    down = torch.minimum(y + high / 2, bottom) - torch.maximum(y - high / 2, top)
    shared = across.clamp(min=0) * down.clamp(min=0)
    union = wide * high + (right - left) * (bottom - top) - shared
    around_x = torch.maximum(x + wide / 2, right) - torch.minimum(x - wide / 2, left)
    around_y = torch.maximum(y + high / 2, bottom) - torch.minimum(y - high / 2, top)
    apart = (x - (left + right) / 2) ** 2 + (y - (top + bottom) / 2) ** 2
    distance = apart / (around_x**2 + around_y**2 + 1e-6)
    sizes = (wide / (right - left)).log().abs() + (high / (bottom - top)).log().abs()
    off = 1 - shared / (union + 1e-6) + distance + 0.3 * sizes
    return (off * weight[batch, row, column]).sum()

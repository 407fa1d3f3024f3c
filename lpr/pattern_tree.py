"""Patterns of plates as a tree of their beginnings, so that what they share is summed once.

A node is a beginning: the pattern's first characters' kinds. What an OCR says is a stack of rows,
each a character or none, for several plates at a time. Always true here: nodes are in the order of
their depth, then of their kind, so those of one depth, and of one kind in it, lie together; the
root is node 0; a plate is the last axis of every array; row i can be the last of a beginning of at
most i + 1 characters, so deeper nodes are not touched before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


class PatternTree:
    """patterns: each the kinds (numbers) of its characters; no two alike."""

    def __init__(self, patterns: Sequence[Sequence[int]], kinds: int) -> None:
        self.longest = max(map(len, patterns))
        levels: list[dict[tuple[int, ...], int]] = [{(): 0}]
        parents, node_kinds = [0], [kinds]
        starts = [0, 1]
        for depth in range(1, self.longest + 1):
            begun = {tuple(one[:depth]) for one in patterns if len(one) >= depth}
            level = {}
            for one in sorted(begun, key=lambda one: (one[-1], one)):
                level[one] = len(parents)
                parents.append(levels[-1][one[:-1]])
                node_kinds.append(one[-1])
            levels.append(level)
            starts.append(len(parents))
        self.parents, self.kinds = np.array(parents), np.array(node_kinds)
        self.ends = np.array([levels[len(one)][tuple(one)] for one in patterns])
        """The node of each pattern."""
        # One node more than there are: where there is no child, it is taken, and is always 0.
        self._children = np.full((kinds, len(parents)), len(parents))
        self._children[self.kinds[1:], self.parents[1:]] = np.arange(1, len(parents))
        self._starts = np.array(starts)
        same = np.diff(self.kinds[1:]) == 0
        deeper = np.isin(np.arange(2, len(parents)), starts)
        self._groups = np.append(1, np.nonzero(~same | deeper)[0] + 2)
        self.group_kinds = self.kinds[self._groups]
        """Kind of each group of nodes of one depth and kind."""
        self.group_places = np.searchsorted(self._starts, self._groups, side="right") - 2
        """Place in the plate, from 0, of each group's last character."""

    def forward(self, sums: Numbers, none: Numbers) -> Numbers:
        """How likely the first i rows spell each beginning: (rows + 1, nodes, plates).

        sums: (rows, kinds, plates), chance that a row holds a character of a kind; none: (rows,
        plates), chance that it holds none.
        """
        rows, _, plates = sums.shape
        forward = np.zeros((rows + 1, len(self.parents), plates))
        forward[0, 0] = 1.0
        for row in range(rows):
            before, after = self._reached(row), self._reached(row + 1)
            forward[row + 1, :before] = forward[row, :before] * none[row]
            inner = slice(1, after)
            step = forward[row, self.parents[inner]]
            step *= sums[row, self.kinds[inner]]
            forward[row + 1, inner] += step
        return forward

    def through(self, forward: Numbers, sums: Numbers, none: Numbers, last: Numbers) -> Numbers:
        """Weight of all ways in which a row is the last character of a group: (rows, groups, ...).

        last: (nodes, plates), what a way weighs that ends at a node.
        """
        rows, kinds, plates = sums.shape
        found = np.zeros((rows, len(self._groups), plates))
        backward = np.zeros((len(self.parents) + 1, plates))
        backward[:-1] = last
        for row in range(rows - 1, -1, -1):
            before, after = self._reached(row), self._reached(row + 1)
            inner = slice(1, after)
            ways = forward[row, self.parents[inner]] * backward[inner]
            groups = int(np.searchsorted(self._groups, after))
            found[row, :groups] = np.add.reduceat(ways, self._groups[:groups] - 1, axis=0)
            now = backward[:before] * none[row]
            for kind in range(kinds):
                now += backward[self._children[kind, :before]] * sums[row, kind]
            backward[:before] = now
        return found

    def _reached(self, rows: int) -> int:
        """Nodes that so many rows can spell."""
        return int(self._starts[min(rows, self.longest) + 1])

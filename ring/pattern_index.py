"""Patterns for plates, and which of them a plate matches.

Always true here: patterns that begin alike are one path of a tree, up to where they differ, and a
plate goes down all paths that fit it at once. So what a plate costs follows from how many paths fit
its first characters, not from how many patterns there are: 5,000 of mixed shapes cost some 10 µs
(tests/benchmarks/matching.py), and some hundred bytes of memory for each character of theirs that
they share with no other.
"""

from collections.abc import Iterator

# Shared by all nodes that have no more, and never written to.
_NONE: dict[str, "_Node"] = {}


class PatternIndex:
    """A set of patterns; '?' is any one character, '*' any run, none included."""

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, pattern: str) -> None:
        """One more; nothing where it is there."""
        node = self._root
        for character in pattern:
            node = node.grown(character)
        if node.pattern is None:
            node.pattern = pattern
            self._count += 1

    def discard(self, pattern: str) -> None:
        """One less; nothing where it is not there."""
        node: _Node | None = self._root
        path: list[tuple[_Node, str]] = []
        for character in pattern:
            assert node is not None
            path.append((node, character))
            if (node := node.child(character)) is None:
                return
        if node is None or node.pattern is None:
            return
        node.pattern = None
        self._count -= 1
        while path and node.is_bare:
            node, character = path.pop()
            node.cut(character)

    def matching(self, plate: str) -> Iterator[str]:
        """The patterns that a plate matches, each once."""
        # Where the paths that fit have come to; and the stars on them, which fit whatever follows.
        # No node comes twice: each has one parent, and a star is behind its parent alone.
        here: list[_Node] = [self._root]
        stars: dict[_Node, None] = {}
        _add_stars(here, stars)
        for character in plate:
            following: list[_Node] = []
            for node in (*here, *stars):
                if (fixed := node.fixed.get(character)) is not None:
                    following.append(fixed)
                if node.any is not None:
                    following.append(node.any)
            _add_stars(following, stars)
            here = following
        for node in (*here, *stars):
            if node.pattern is not None:
                yield node.pattern


def _add_stars(nodes: "list[_Node]", stars: "dict[_Node, None]") -> None:
    """The stars that follow the nodes; several at a time, for one may stand for nothing."""
    for node in nodes:
        star = node.star
        while star is not None:
            stars[star] = None
            star = star.star


class _Node:
    """The end of a path: what may follow, by a fixed character, '?' or '*', and what ends here."""

    __slots__ = ("any", "fixed", "pattern", "star")

    def __init__(self) -> None:
        self.fixed = _NONE
        self.any: _Node | None = None
        self.star: _Node | None = None
        self.pattern: str | None = None

    @property
    def is_bare(self) -> bool:
        """Nothing follows, and nothing ends here."""
        return not (self.fixed or self.any or self.star or self.pattern)

    def child(self, character: str) -> "_Node | None":
        """What follows by a character of a pattern."""
        match character:
            case "?":
                return self.any
            case "*":
                return self.star
        return self.fixed.get(character)

    def grown(self, character: str) -> "_Node":
        """The same, made where there is none."""
        if (node := self.child(character)) is None:
            self._put(character, node := _Node())
        return node

    def cut(self, character: str) -> None:
        """Nothing follows by it any more."""
        self._put(character, None)

    def _put(self, character: str, node: "_Node | None") -> None:
        match character:
            case "?":
                self.any = node
            case "*":
                self.star = node
            case _ if node is not None:
                self.fixed = {**self.fixed, character: node}
            case _:
                self.fixed = {c: n for c, n in self.fixed.items() if c != character} or _NONE

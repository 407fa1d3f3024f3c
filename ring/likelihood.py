"""Which plate a vehicle has, given what a reader said of it: Bayes over the plates it may be.

Always true here: no plate is likelier than the one that was read, and all others together have no
more than its confidence leaves; a probability depends on the read and on one list, never on another
list; what is less likely than LEAST is left out.

The plate read has the read's confidence. A reader's posterior, taken as places that are independent
of each other, says how the other plates share the rest. What a place leaves of 1 is spread over the
characters it does not name, as the confusion model has it. Without a posterior the confusion model
says it all, characters missed or added among it.

The reader's probabilities assume that any plate passes as often as any other. A list's vehicles are
a share of the traffic: where they have more plates than that share of all possible ones, each of
them passes less often than the reader assumes, and counts for as much less.
"""

from collections.abc import Sequence
from functools import cache
from math import prod
from operator import itemgetter
from typing import NamedTuple

from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.confusion import measured

LEAST = 0.02
"""Probability under which a plate is not considered; no threshold is lower."""
LISTED_SHARE = 0.002
"""Share of the traffic that a list's vehicles are: 6,100 of 3.1 million reads a day in Buenos Aires
in April 2024."""
POSSIBLE_PLATES = 100_000_000
"""Between the 18 million of Argentina's AAA999 and the 457 million of its AA999AA."""

_CERTAIN = 1e-6
_UNNAMED = 1e-4
_FULL = 1.01  # what a row sums to at most
_MAJORITY = _FULL / 2

Rivals = Sequence[tuple[str, float]]


def plausible(read: PlateRead, above: float = 0.0) -> dict[str, float]:
    """The plates that the vehicle may have, with the probability of each; the one read comes first.

    Of the others, those with at least LEAST, by the likeliest way through the places: 50 at most.
    Where none of them has more than `above` they may all be left out, which is quicker. The read is
    one that `ring.reads.judge` found good.
    """
    plate, confidence = read.plate, read.confidence
    if 1.0 - confidence < LEAST or 1.0 - confidence <= above:
        return {plate: confidence}
    posterior = read.posterior
    symbols = _aligned(plate, posterior) if posterior else None
    if symbols is None:
        return _confused(plate, confidence, above)
    whole, lowest, places = 1.0, 1.0, []
    for symbol, candidates in zip(symbols, posterior, strict=True):
        characters, said = candidates.characters, candidates.probabilities[:]
        share = said[0]
        if share <= _MAJORITY or characters[0] != symbol:
            share = _row(symbol, characters, said)[symbol]
        whole *= share
        if share < lowest:
            lowest = share
        places.append((share, symbol, characters, said))
    if whole > 1.0 - _CERTAIN:
        return _confused(plate, confidence, above)
    base = _base(confidence, whole)
    # The likeliest differs in one place, by no more than what that leaves.
    if base < LEAST or base * (_FULL - lowest) <= above * lowest:
        return {plate: confidence}
    least = LEAST / base
    rivals = [
        (number, found)
        for number, place in enumerate(places)
        if 1.0 - place[0] >= least * place[0] and (found := _rivals(least, *place))
    ]
    if not rivals:
        return {plate: confidence}
    # A place may sum to a little more than 1; the others have what the confidence leaves even so.
    shared = prod(1.0 + sum(map(_ratio, others)) for _, others in rivals) - 1.0
    return _spelled(plate, confidence, min(base, (1.0 - confidence) / shared), symbols, rivals)


def weight(share: float, plates: int) -> float:
    """How much likelier to pass a plate of a list is than the reader assumes; above 0, at most 1.

    share: of the traffic that the list's vehicles are; plates: how many the list has. Never more
    than 1: how many other plates the reader had in mind is not known well enough.
    """
    return min(1.0, share * POSSIBLE_PLATES / max(1, plates))


def probability(said: float, listed: float, weight: float) -> float:
    """That the vehicle has a listed plate, by Bayes; never more than `said`.

    said: the plate's probability as the reader has it. listed: the sum of those of all plausible
    plates on the list, this one included. weight: see there.
    """
    return min(said, said * weight / (1.0 - (1.0 - weight) * min(listed, 1.0)))


def _confused(plate: str, confidence: float, above: float) -> dict[str, float]:
    """What a plate may be by the confusion model, where the reader says only how sure it is."""
    shares, highest = _tables()
    whole = prod(map(shares.__getitem__, plate), start=shares[""] ** (len(plate) + 1))
    base = _base(confidence, whole)
    likeliest = base * max(highest[""], *map(highest.__getitem__, plate))
    if likeliest < LEAST or likeliest <= above:
        return {plate: confidence}
    symbols = ["", *(symbol for character in plate for symbol in (character, ""))]
    rivals = [
        (place, behind.rivals)
        for place, behind in enumerate(map(_behind, symbols))
        if base * behind.highest >= LEAST
    ]
    return _spelled(plate, confidence, base, symbols, rivals)


def _base(own: float, whole: float) -> float:
    """What a plate's ratio to the one read is multiplied by: the others share what that leaves.

    own: probability of the plate read; whole: what the places make of it.
    """
    return (1.0 - own) * whole / (1.0 - whole)


class _Behind(NamedTuple):
    """What may be true where a character is read. share: of the times that it is itself.

    rivals: what else, relative to that; highest: of the likeliest of them.
    """

    share: float
    highest: float
    rivals: Rivals


@cache
def _behind(symbol: str) -> _Behind:
    behind = measured().behind[symbol]
    rivals = sorted(behind.items(), key=_ratio, reverse=True)
    return _Behind(1.0 / (1.0 + sum(behind.values())), rivals[0][1], rivals)


@cache
def _tables() -> tuple[dict[str, float], dict[str, float]]:
    """Of each character and of none, `share` and `highest`."""
    every = {symbol: _behind(symbol) for symbol in measured().behind}
    return {s: b.share for s, b in every.items()}, {s: b.highest for s, b in every.items()}


def _spelled(
    plate: str,
    own: float,
    base: float,
    symbols: Sequence[str],
    rivals: Sequence[tuple[int, Rivals]],
) -> dict[str, float]:
    """Every plate that the places spell with at least LEAST. base: weight of the plate read.

    rivals: of some places, what else may stand there, relative to its symbol, the likeliest first.
    """
    likeliest = max(others[0][1] for _, others in rivals)
    if base * likeliest > own:
        base = own / likeliest  # no other plate is likelier than the one read
    straight = len(symbols) == len(plate)
    # From the right, so that the places further left stay where they are.
    ways = [(plate, base)]
    for place, others in reversed(rivals):
        likely = [rival for rival in others if base * rival[1] >= LEAST]
        if likely:
            start = place if straight else sum(map(len, symbols[:place]))
            end = start + len(symbols[place])
            ways += [
                (text[:start] + rival + text[end:], weight * ratio)
                for text, weight in ways
                for rival, ratio in likely
                if weight * ratio >= LEAST
            ]
    found = {plate: own}
    for text, weight in ways:
        if text != plate and weight > found.get(text, 0.0):
            found[text] = weight
    return found


def _rivals(
    least: float, share: float, symbol: str, characters: str, said: Sequence[float]
) -> Rivals:
    """What else may stand at a place, relative to what does in the plate read; at least `least`.

    share: of what does.
    """
    enough = least * share
    if said[0] > _MAJORITY and characters[0] == symbol and 1.0 - sum(said) <= enough:
        # Its symbol, and nothing likely but what it names.
        found = [
            ("" if other == "_" else other, likely / share)
            for other, likely in zip(characters[1:], said[1:], strict=True)
            if likely >= enough
        ]
    else:
        row = _row(symbol, characters, said, enough)
        del row[symbol]
        found = [(other, likely / share) for other, likely in row.items() if likely >= enough]
    return sorted(found, key=_ratio, reverse=True) if len(found) > 1 else found


_ratio = itemgetter(1)


def _row(
    symbol: str, characters: str, said: Sequence[float], least: float = 0.0
) -> dict[str, float]:
    """A place's probabilities, of all characters; "" is none. `symbol` has no less than another.

    Characters that the place does not name may be left out where they have less than `least`.
    """
    row: dict[str, float] = dict(zip(characters, said, strict=True))
    if "_" in row:
        row[""] = row.pop("_")
    left = 1.0 - sum(row.values())
    if left > least or (left > 0.0 and symbol not in row):
        unnamed = {t: r for t, r in measured().behind[symbol].items() if t not in row}
        if symbol not in row:
            unnamed[symbol] = 1.0
        whole = sum(unnamed.values())
        row |= {other: left * ratio / whole for other, ratio in unnamed.items()}
    most = max(row.values())
    if row.get(symbol, 0.0) < most:
        row[symbol] = most
        whole = sum(row.values())
        return {other: share / whole for other, share in row.items()}
    return row


def _named(symbol: str, candidates: CharacterCandidates) -> float:
    """The probability that a place gives a character, or "" for none; little if not."""
    place = candidates.characters.find(symbol or "_")
    return candidates.probabilities[place] if place >= 0 else _UNNAMED


def _aligned(plate: str, posterior: Sequence[CharacterCandidates]) -> Sequence[str] | None:
    """What stands at each place in the plate read: a character, or "" for none.

    The likeliest way where there are several; None where there is none.
    """
    if len(plate) == len(posterior):
        return plate
    if len(plate) > len(posterior):
        return None
    # Of each beginning of the plate that the places so far may spell: likelihood, and symbols.
    best: dict[int, tuple[float, list[str]]] = {0: (1.0, [])}
    for candidates in posterior:
        before, best = best, {}
        for length, (likelihood, symbols) in before.items():
            for symbol in ("", plate[length]) if length < len(plate) else ("",):
                better = likelihood * _named(symbol, candidates)
                there = best.get(length + len(symbol))
                if there is None or better > there[0]:
                    best[length + len(symbol)] = better, [*symbols, symbol]
    return best[len(plate)][1]

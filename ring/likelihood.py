"""Which plate a vehicle has, given what a reader said of it: Bayes over the plates it may be.

Always true here: no plate is likelier than the one that was read; a probability depends on the read
and on one list, never on another list; what is less likely than LEAST is left out.

A reader's posterior is taken as places that are independent of each other. What a place leaves of 1
is spread over the characters it does not name, as the confusion model has it. Where the posterior
is surer of the plate than the read's own confidence, the confidence holds, and all others share
the rest as they did before. A read without a posterior has its confidence, and the confusion model
says how the other plates share the rest, characters missed or added among them.

The reader's probabilities assume that any plate passes as often as any other. A list's vehicles are
a share of the traffic: where they have more plates than that share of all possible ones, each of
them passes less often than the reader assumes, and counts for as much less.
"""

from collections.abc import Sequence
from functools import cache
from math import prod

from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.confusion import measured

LEAST = 0.01
"""Probability under which a plate is not considered; no threshold is lower."""
LISTED_SHARE = 0.002
"""Share of the traffic that a list's vehicles are: 6,100 of 3.1 million reads a day in Buenos Aires
in April 2024."""
POSSIBLE_PLATES = 100_000_000
"""Between the 18 million of Argentina's AAA999 and the 457 million of its AA999AA."""

_CERTAIN = 1e-6
_UNNAMED = 1e-4
_MAJORITY = 0.505  # of a row that sums to 1.01 at most

Rivals = Sequence[tuple[str, float]]


def plausible(read: PlateRead) -> dict[str, float]:
    """The plates that the vehicle may have, with the probability of each; the one read comes first.

    Of the others, those with at least LEAST, by the likeliest way through the places: 100 at most.
    The read is one that `ring.reads.judge` found good.
    """
    plate, confidence = read.plate, read.confidence
    posterior = read.posterior
    symbols = _aligned(plate, posterior) if posterior else None
    shares = [_own_share(s, c) for s, c in zip(symbols, posterior, strict=True)] if symbols else ()
    whole = prod(shares)
    if symbols is None or whole > 1.0 - _CERTAIN:
        return _confused(plate, confidence)
    own = min(whole, confidence)
    base = _base(own, whole)
    if 1.0 - own < LEAST or base < LEAST:
        return {plate: own}
    least = LEAST / base
    rivals = [
        () if 1.0 - share < least * share else _rivals(symbol, candidates)
        for symbol, share, candidates in zip(symbols, shares, posterior, strict=True)
    ]
    return _spelled(plate, own, base, symbols, rivals)


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


def most_changes(threshold: float) -> int:
    """How many characters at most may differ, be missing or be too many in a match above it.

    threshold: at least LEAST. At each place the character read is at least as likely as any other,
    so of the 2^k plates that k changes lead through none is less likely than the last.
    """
    changes = 1
    while 1.0 / (2 ** (changes + 1) - 1) > threshold:
        changes += 1
    return changes


def _confused(plate: str, confidence: float) -> dict[str, float]:
    """What a plate may be by the confusion model, where the reader says only how sure it is."""
    if 1.0 - confidence < LEAST:
        return {plate: confidence}
    symbols = ["", *(symbol for character in plate for symbol in (character, ""))]
    places = [_behind(symbol) for symbol in symbols]
    whole = prod(share for share, _ in places)
    base = _base(confidence, whole)
    rivals = [others for _, others in places]
    return _spelled(plate, confidence, base, symbols, rivals)


def _base(own: float, whole: float) -> float:
    """What a plate's ratio to the one read is multiplied by: the others share what that leaves.

    own: probability of the plate read; whole: what the places make of it.
    """
    return (1.0 - own) * whole / (1.0 - whole)


@cache
def _behind(symbol: str) -> tuple[float, Rivals]:
    """Share of a character that it is read rightly, and what else it may be, relative to that."""
    behind = measured().behind[symbol]
    return 1.0 / (1.0 + sum(behind.values())), sorted(behind.items(), key=lambda item: -item[1])


def _spelled(
    plate: str, own: float, base: float, symbols: Sequence[str], rivals: Sequence[Rivals]
) -> dict[str, float]:
    """Every plate that the places spell with at least LEAST. base: weight of the plate read.

    rivals: of each place, what else may stand there, relative to its symbol, the likeliest first.
    """
    likeliest = max((others[0][1] for others in rivals if others), default=0.0)
    if base * likeliest > own:
        base = own / likeliest  # no other plate is likelier than the one read
    ways = [("", base)]
    for symbol, others in zip(symbols, rivals, strict=True):
        grown = [(text + symbol, weight) for text, weight in ways]
        for rival, ratio in others:
            if base * ratio < LEAST:
                break
            grown += [
                (text + rival, weight * ratio) for text, weight in ways if weight * ratio >= LEAST
            ]
        ways = grown
    found = {plate: own}
    for text, weight in ways:
        if text != plate and weight > found.get(text, 0.0):
            found[text] = weight
    return found


def _own_share(symbol: str, candidates: CharacterCandidates) -> float:
    """The probability of what stands at a place in the plate read."""
    first: float = candidates.probabilities[0]
    if first > _MAJORITY and candidates.characters[0] == symbol:
        return first
    return _row(symbol, candidates)[symbol]


def _rivals(symbol: str, candidates: CharacterCandidates) -> Rivals:
    """What else may stand at a place, relative to what does in the plate read."""
    row = _row(symbol, candidates)
    own = row.pop(symbol)
    return sorted(((other, share / own) for other, share in row.items()), key=lambda i: -i[1])


def _row(symbol: str, candidates: CharacterCandidates) -> dict[str, float]:
    """A place's probabilities, of all characters; "" is none. `symbol` has no less than another."""
    row: dict[str, float] = dict(zip(candidates.characters, candidates.probabilities, strict=True))
    if "_" in row:
        row[""] = row.pop("_")
    left = 1.0 - sum(row.values())
    if left > 0.0:
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

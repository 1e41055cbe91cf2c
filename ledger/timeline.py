"""Half-open date ranges [from, to) and the one way in which later facts overlay earlier ones.

Rules, order types and reference facts all answer "which value holds on that day?" through `overlay`: of the pieces
that cover a day, the last in the sequence wins.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Generic, TypeVar

FIRST_DAY = date(1, 1, 1)
LAST_DAY = date(9999, 12, 31)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """A value that holds on the days [start, end)."""

    start: date
    end: date
    value: T


def piece(start: date | None, end: date | None, value: T) -> Piece[T]:
    """Make a piece of a range that may be open at either side."""
    return Piece(start or FIRST_DAY, end or LAST_DAY, value)


def overlay(pieces: Iterable[Piece[T]]) -> list[Piece[T]]:
    """Lay pieces over each other, the later over the earlier, into pieces that do not overlap, by date.

    Shape: days that nothing covers are in no piece; neighbours of equal value are one piece.

    >>> day = date.fromisoformat
    >>> for p in overlay([piece(None, None, "a"), piece(day("2026-01-01"), day("2026-04-01"), "b")]):
    ...     print(p.start, p.end, p.value)
    0001-01-01 2026-01-01 a
    2026-01-01 2026-04-01 b
    2026-04-01 9999-12-31 a
    """
    laid: list[Piece[T]] = []
    for upper in pieces:
        kept = [part for lower in laid for part in _outside(lower, upper)]
        laid = [*kept, upper] if upper.start < upper.end else kept
    laid.sort(key=lambda part: part.start)
    return _joined(laid)


def filled(layers: Iterable[Iterable[Piece[T]]]) -> list[Piece[T]]:
    """Lay timelines under each other, each filling only the days that the ones before leave free: overlay, reversed.

    Shape: by date; of each layer the pieces are by date and do not overlap; layers that find no free day are not read.
    """
    free, laid = [(FIRST_DAY, LAST_DAY)], list[Piece[T]]()
    for layer in layers:
        left = list[tuple[date, date]]()
        for first, end in free:
            start = first
            for part in layer:
                if start < part.end and part.start < end:
                    inside = start <= part.start and part.end <= end
                    laid.append(part if inside else Piece(max(start, part.start), min(end, part.end), part.value))
                    if start < part.start:
                        left.append((start, part.start))
                    start = min(end, part.end)
            if start < end:
                left.append((start, end))
        free = left
        if not free:
            break
    laid.sort(key=lambda part: part.start)
    return _joined(laid)


def compared(one: Iterable[Piece[T]], other: Iterable[Piece[T]]) -> list[Piece[tuple[T | None, T | None]]]:
    """Lay two timelines beside each other: on which days which two values hold, None where one covers nothing.

    Shape: by date, without days that neither covers; of each timeline the pieces do not overlap.
    """
    one, other = list(one), list(other)
    cuts = sorted({day for part in (*one, *other) for day in (part.start, part.end)})
    beside = [
        Piece(start, end, (_value_on(one, start), _value_on(other, start)))
        for start, end in pairwise(cuts)
        if _covered(one, start) or _covered(other, start)
    ]
    return _joined(beside)


def _covered(laid: Iterable[Piece[T]], day: date) -> bool:
    return any(part.start <= day < part.end for part in laid)


def _value_on(laid: Iterable[Piece[T]], day: date) -> T | None:
    return next((part.value for part in laid if part.start <= day < part.end), None)


def _outside(lower: Piece[T], upper: Piece[T]) -> list[Piece[T]]:
    """Give what of the lower piece the upper one leaves uncovered."""
    if upper.end <= lower.start or lower.end <= upper.start or upper.start >= upper.end:
        return [lower]
    before = Piece(lower.start, upper.start, lower.value)
    after = Piece(upper.end, lower.end, lower.value)
    return [part for part in (before, after) if part.start < part.end]


def _joined(laid: list[Piece[T]]) -> list[Piece[T]]:
    joined: list[Piece[T]] = []
    for part in laid:
        last = joined[-1] if joined else None
        if last is not None and last.end == part.start and last.value == part.value:
            joined[-1] = Piece(last.start, part.end, part.value)
        else:
            joined.append(part)
    return joined

"""Timing two sides of a comparison so that the machine's drift hits both: they take turns, block by block."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import ParamSpec

P = ParamSpec("P")


@dataclass
class Side:
    """What one side of a comparison did: how much, and in how many seconds."""

    work: int = 0
    seconds: float = 0.0

    def run(self, work: int, block: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> None:
        """Time one block of so much work: a function with its arguments."""
        started = time.perf_counter()
        block(*arguments, **named)
        self.seconds += time.perf_counter() - started
        self.work += work

    @property
    def rate(self) -> float:
        """Work per second."""
        return self.work / self.seconds


def seconds(block: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> float:
    """Time one call."""
    side = Side()
    side.run(1, block, *arguments, **named)
    return side.seconds


def medians(ours: Iterable[float], theirs: Iterable[float]) -> tuple[float, float]:
    """Draw the times of both sides in turn (lazily given) and give each side's median."""
    pairs = list(zip(ours, theirs, strict=True))
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)

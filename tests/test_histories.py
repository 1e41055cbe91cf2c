"""Invariants 3, 5, 6, 9, 10 and 11 over random histories that mix every event type; `make soak` lives longer."""

from collections.abc import Callable

import pytest

from ledger.store import Store
from tests.life import live

HISTORIES = 2_000
TOGETHER = 50
STEPS = 14


@pytest.mark.parametrize("first", range(0, HISTORIES, TOGETHER))
def test_lives_of_ledgers(new_store: Callable[[], Store], first: int) -> None:
    """The same lives every time; the error of one that fails says how to live it again."""
    for seed in range(first, first + TOGETHER):
        live(new_store, seed, steps=STEPS)

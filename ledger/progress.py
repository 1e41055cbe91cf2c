"""Telling how far something is: it is called with how much is done, and how much there is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]


def no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""

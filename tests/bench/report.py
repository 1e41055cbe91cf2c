"""The table that the benchmark prints: our figure, the comparison's, their ratio, the goal, and whether it is met."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.processes import Peaks

MEMORY_MEGABYTES_MAX = 400
_HEADINGS = ("what", "ours", "comparison", "ratio", "goal", "")


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where there is no goal to meet."""

    what: str
    ours: str
    comparison: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None


def at_least(what: str, ours: float, theirs: float, *, goal: float, unit: str = "events/s") -> Row:
    """Compare two rates, of which ours should be at least `goal` times the other."""
    ratio = ours / theirs
    return Row(what, f"{ours:,.0f} {unit}", f"{theirs:,.0f} {unit}", f"{ratio:.2f}", f">= {goal:g}", ratio >= goal)


def at_most(what: str, ours: float, theirs: float, *, goal: float) -> Row:
    """Compare two times in seconds, of which ours should be at most `goal` times the other."""
    ratio = ours / theirs
    ours_text, theirs_text = f"{1000 * ours:,.1f} ms", f"{1000 * theirs:,.1f} ms"
    return Row(what, ours_text, theirs_text, f"{ratio:.2f}", f"<= {goal:g}", ratio <= goal)


def rate(what: str, ours: float, *, goal: float, unit: str = "events/s") -> Row:
    """State a rate that should be at least `goal`."""
    return Row(what, f"{ours:,.0f} {unit}", goal=f">= {goal:,.0f}", met=ours >= goal)


def note(what: str, figure: str) -> Row:
    """State a figure without a goal."""
    return Row(what, figure)


def memory(what: str, peaks: Peaks) -> Row:
    """State what the processes held at their peaks, summed and each."""
    if not peaks.megabytes:
        return note(what, "not to be seen here")
    return Row(what, str(peaks), goal=f"< {MEMORY_MEGABYTES_MAX} MB", met=peaks.total < MEMORY_MEGABYTES_MAX)


def table(rows: Sequence[Row]) -> str:
    """Lay out the rows under their headings."""
    cells = [_HEADINGS, *((row.what, row.ours, row.comparison, row.ratio, row.goal, _verdict(row)) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_aligned(line, widths)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.ljust(width) if column in (0, 5) else text.rjust(width)
        for column, (text, width) in enumerate(zip(line, widths, strict=True))
    ]


def _verdict(row: Row) -> str:
    return "" if row.met is None else "met" if row.met else "MISSED"

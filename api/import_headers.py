"""Which row of a file is its header: the first, unless those above are a report's title and its like. Pure.

A title is a row of one cell, or one that names no field; below such rows the header is the first that names several.
A row above that names some field too, in several cells, may be the header as well: then a profile says which, by a cell
that the header has. So it holds also for the next report, whose title may take more rows or fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from api.import_profiles import propose_columns
from api.import_values import Cell, text_of
from api.shapes import Decision, Field, ImportProfile
from ledger.checks import shown
from ledger.wording import say

ROWS_SEEN: Final = 20
"""The header is among so many rows."""
_FIELDS_ENOUGH = 3


@dataclass(frozen=True)
class _Candidate:
    """A row that may be the header."""

    at: int
    texts: list[str]
    fields_count: int

    @property
    def is_doubtful(self) -> bool:
        """Say whether it may be a header, and not a title."""
        return self.fields_count > 0 and sum(map(bool, self.texts)) > 1


@dataclass(frozen=True)
class HeaderSearch:
    """The search of a header by what a profile says: a cell of it, and what columns are called."""

    header: str | None = None
    columns: dict[Field, str] = field(default_factory=dict)

    @classmethod
    def by(cls, profile: ImportProfile) -> "HeaderSearch":
        """Give the search by a profile."""
        return cls(profile.header, profile.columns)

    def choose(self, rows: Sequence[Sequence[Cell]]) -> tuple[int, Decision | None]:
        """Give which of a file's first rows is the header, and the decision where it is not simply the first."""
        seen = [self._candidate(at, row) for at, row in enumerate(rows)]
        filled = [each for each in seen if any(each.texts)]
        if not filled:
            return 0, None
        best = next((each for each in filled if each.fields_count >= _FIELDS_ENOUGH), filled[0])
        if self.header is not None:
            return self._said(filled, best)
        above = filled[: filled.index(best)]
        if not above:
            return best.at, None
        doubtful = [each for each in above if each.is_doubtful]
        if doubtful:
            why = say("several rows at the top name columns: say which is the header, by a cell of it")
            return best.at, Decision("header", None, False, why, [_name(each, filled) for each in (*doubtful, best)])
        why = say("the rows above it (rows: {count}) are titles: none of them names columns", count=len(above))
        return best.at, Decision("header", _name(best, filled), True, why)

    def _candidate(self, at: int, cells: Sequence[Cell]) -> _Candidate:
        texts = [text_of(cell) for cell in cells]
        return _Candidate(at, texts, len(propose_columns(texts, self.columns)[0]))

    def _said(self, filled: list[_Candidate], best: _Candidate) -> tuple[int, Decision]:
        header = self.header or ""
        found = next((each for each in filled if header.strip() in each.texts), None)
        if found is not None:
            return found.at, Decision("header", header, True, say("the profile says so"))
        why = say(
            "the profile says {header}, and none of the first {rows_seen} rows has such a cell",
            header=shown(header),
            rows_seen=ROWS_SEEN,
        )
        return best.at, Decision("header", None, False, why, [_name(best, filled)])


BY_NAMES: Final = HeaderSearch()
"""The search where nothing is said."""


def _name(candidate: _Candidate, filled: list[_Candidate]) -> str:
    """Name a row by its first cell that none above it has."""
    above = [each for each in filled if each.at < candidate.at]
    texts = [text for text in candidate.texts if text]
    return next((text for text in texts if not any(text in each.texts for each in above)), texts[0])

"""Judging single values that somebody sent: each check notes a problem with its pointer, or nothing.

These run once, before an event is recorded; reading history never runs them (design, invariant 12).
"""

import re
from collections.abc import Sequence
from datetime import date

from ledger.events import IDENTIFIER_CHARACTERS_MAX, Split
from ledger.money import SHARE_ONE, parse_micros, parse_share, share_text
from ledger.refusal import Code, Problem, Refusal
from ledger.wording import Sentence, say

TEXT_CHARACTERS_MAX = 500
DAY_MIN = date(1900, 1, 1)
DAY_MAX = date(2199, 12, 31)
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_identifier(value: str | None) -> bool:
    """Say whether this is an identifier (or left out): printable, no outer spaces, not too long."""
    return value is None or (
        0 < len(value) <= IDENTIFIER_CHARACTERS_MAX and value.isprintable() and value[0] != " " and value[-1] != " "
    )


def is_text(value: str | None) -> bool:
    """Say whether this is a name or sentence (or left out): no control characters, neither blank nor too long."""
    return value is None or (
        0 < len(value) <= TEXT_CHARACTERS_MAX and not value.isspace() and _NOT_TEXT.search(value) is None
    )


class Checks:
    """Collects the problems of one command; `what` and `name` say who it is about ("order", "SO-7")."""

    def __init__(self, what: str, name: str | None = None) -> None:
        self._what = what
        self._name = name
        self.problems: list[Problem] = []

    @property
    def about(self) -> str:
        """Name who the command is about, for the sentences."""
        what = Sentence(self._what)
        return what if self._name is None else say("{what} {name}", what=what, name=shown(self._name))

    def note(self, code: Code, detail: str, pointer: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(code, say("{about}: {detail}", about=self.about, detail=detail), pointer))

    def refuse_if_any(self) -> None:
        """Raise the refusal that carries every problem noted, if there is one."""
        if self.problems:
            raise Refusal(tuple(self.problems))

    def identifier(self, value: str | None, pointer: str) -> None:
        """Check an identifier."""
        if not is_identifier(value):
            self.note(
                Code.invalid_value,
                say(
                    "{value} is not an identifier: it takes 1 to {identifier_characters_max} printable characters"
                    " without control characters or spaces at either end",
                    value=shown(value),
                    identifier_characters_max=IDENTIFIER_CHARACTERS_MAX,
                ),
                pointer,
            )

    def text(self, value: str | None, pointer: str) -> None:
        """Check a name or sentence."""
        if not is_text(value):
            self.note(
                Code.invalid_value,
                say(
                    "{value} is not a text of 1 to {text_characters_max} characters without control characters",
                    value=shown(value),
                    text_characters_max=TEXT_CHARACTERS_MAX,
                ),
                pointer,
            )

    def day(self, value: date | None, pointer: str) -> None:
        """Check that a date lies in the years a business may mean."""
        if value is not None and not DAY_MIN <= value <= DAY_MAX:
            self.note(
                Code.invalid_date,
                say("{value} is outside {day_min} to {day_max}", value=value, day_min=DAY_MIN, day_max=DAY_MAX),
                pointer,
            )

    def days(self, start: date, end: date | None, pointer: str) -> None:
        """Check a half-open range."""
        self.day(start, pointer + "/effective_from")
        self.day(end, pointer + "/effective_to")
        if end is not None and end <= start:
            self.note(
                Code.empty_range,
                say(
                    "[{start}, {end}) contains no day: 'effective_to' is the first day after the range",
                    start=start,
                    end=end,
                ),
                pointer + "/effective_to",
            )

    def micros(self, value: str, pointer: str) -> int:
        """Check an amount or quantity and give its micros (0 where it is none)."""
        micros = parse_micros(value)
        if micros is None:
            self.note(
                Code.invalid_amount,
                say(
                    "{value} is not a decimal of at most 13 digits and six decimals, such as '12.50'",
                    value=shown(value),
                ),
                pointer,
            )
        return micros or 0

    def share(self, value: str, pointer: str) -> int | None:
        """Check a share and give its ten-thousandths (None where it is none)."""
        share = parse_share(value)
        if share is None:
            self.note(
                Code.invalid_share,
                say("{value} is not a share from 0 to 9.9999 with at most four decimals", value=shown(value)),
                pointer,
            )
        return share

    def splits(self, splits: Sequence[Split], pointer: str) -> None:
        """Check that the shares of a split are above 0, of different salespeople, and sum to 1."""
        if not splits or (
            len(splits) == 1
            and splits[0].share == "1"
            and is_identifier(splits[0].salesperson_id)
            and is_text(splits[0].salesperson_name)
        ):
            return
        total, seen = 0, set[str]()
        before = len(self.problems)
        for index, split in enumerate(splits):
            self.identifier(split.salesperson_id, f"{pointer}/{index}/salesperson_id")
            self.text(split.salesperson_name, f"{pointer}/{index}/salesperson_name")
            share = self.share(split.share, f"{pointer}/{index}/share")
            if share == 0:
                self.note(
                    Code.invalid_share,
                    say(
                        "the share of salesperson {salesperson_id} must be above 0",
                        salesperson_id=shown(split.salesperson_id),
                    ),
                    f"{pointer}/{index}/share",
                )
            if split.salesperson_id in seen:
                self.note(
                    Code.duplicate_salesperson,
                    say(
                        "salesperson {salesperson_id} is in the split twice: add the shares into one",
                        salesperson_id=shown(split.salesperson_id),
                    ),
                    f"{pointer}/{index}/salesperson_id",
                )
            seen.add(split.salesperson_id)
            total += share or 0
        if total != SHARE_ONE and len(self.problems) == before:
            sentence = say("the shares sum to {total}, they must sum to exactly 1", total=share_text(total))
            self.note(Code.splits_not_one, sentence, pointer)


def shown(value: str | None) -> str:
    """Show what was sent in a sentence: escaped, and cut where it is long."""
    text = ascii(value) if value is None or not value.isprintable() else repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[-1]

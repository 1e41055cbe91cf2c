"""Figures: what is credited to whom in which currency.

Shape: amounts are mappings of (salesperson, None: nobody; currency), without zeros. Units: 10^-10 of the currency.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from verifier.decimals import EXACT_PER_MICRO, exact, exact_text

Key = tuple[str | None, str]
Amounts = dict[Key, int]

AMOUNTS = ("credited", "gross", "adjustments")


@dataclass
class Figures:
    """What is credited, what it were if everything counted, and what was booked into the period from others."""

    credited: Amounts = field(default_factory=dict)
    gross: Amounts = field(default_factory=dict)
    adjustments: Amounts = field(default_factory=dict)

    def rows(self) -> list[dict[str, str | None]]:
        """Write them as a bundle does: sorted by salesperson (nobody first) and currency, without rows of zeros."""
        keys = sorted({*self.credited, *self.gross, *self.adjustments}, key=lambda key: (key[0] or "", key[1]))
        return [
            {"salesperson_id": key[0], "currency": key[1]}
            | {name: exact_text(getattr(self, name).get(key, 0)) for name in AMOUNTS}
            for key in keys
        ]


def summed(pairs: Iterable[tuple[Key, int]]) -> Amounts:
    """Sum amounts by their keys."""
    sums = Amounts()
    for key, amount in pairs:
        sums[key] = sums.get(key, 0) + amount
    return {key: amount for key, amount in sums.items() if amount}


def less(amounts: Mapping[Key, int], others: Mapping[Key, int]) -> Amounts:
    """Subtract."""
    return summed([*amounts.items(), *((key, -amount) for key, amount in others.items())])


def counted(lines: Iterable[tuple[Key, int, int]]) -> tuple[Amounts, Amounts]:
    """Give what is credited, and gross, of lines: (key, amount in micros, share in ten-thousandths)."""
    credited, gross = Amounts(), Amounts()
    for key, amount, share in lines:
        credited[key] = credited.get(key, 0) + amount * share
        gross[key] = gross.get(key, 0) + amount * EXACT_PER_MICRO
    return summed(credited.items()), summed(gross.items())


def read_figures(rows: Iterable[dict[str, Any]]) -> Figures:
    """Read the figures of a statement, or of a view; what is left out is 0."""
    listed = list(rows)
    return Figures(*(_amounts(listed, name) for name in AMOUNTS))


def _amounts(rows: list[dict[str, Any]], name: str) -> Amounts:
    return summed(((row["salesperson_id"], row["currency"]), exact(row.get(name) or "0")) for row in rows)


def read_adjustments(rows: Iterable[dict[str, Any]]) -> Amounts:
    """Read what is carried forward."""
    return _amounts(list(rows), "credited")


def digest_of(rows: Iterable[dict[str, Any]], names: Iterable[str]) -> str:
    """Hash figures by their amounts of these names, as docs/events.md says under "Periods"."""
    listed, names = sorted(rows, key=_order), list(names)
    lines = list[str]()
    for row in listed:
        amounts = [exact(row.get(name) or "0") for name in names]
        if any(amounts):
            values = [row["salesperson_id"], row["currency"], *(exact_text(amount) for amount in amounts)]
            lines.append(json.dumps(values, ensure_ascii=False, separators=(",", ":")))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _order(row: dict[str, Any]) -> tuple[bool, str, str]:
    return row["salesperson_id"] is not None, row["salesperson_id"] or "", row["currency"]


def differences(name: str, expected: Figures, found: Figures) -> list[str]:
    """Say where figures differ, a sentence each; `name` names what was found."""
    told = list[str]()
    for kind in AMOUNTS:
        ours, theirs = getattr(expected, kind), getattr(found, kind)
        for key in sorted({*ours, *theirs}, key=lambda key: (key[0] or "", key[1])):
            if ours.get(key, 0) != theirs.get(key, 0):
                person = "nobody" if key[0] is None else repr(key[0])
                told.append(
                    f"{kind} of {person} in {key[1]!r} is {exact_text(theirs.get(key, 0))} in {name},"
                    f" but {exact_text(ours.get(key, 0))} follows"
                )
    return told

"""The check of views: their figures follow from their credit lines and resolved rules, and are the statement's."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from verifier.bundle import MANIFEST, Row, View
from verifier.evidence import Evidence
from verifier.figures import Figures, counted, differences, less, read_figures
from verifier.findings import Check
from verifier.statements import NO_MANIFEST, statement_of


def check_figures(check: Check, evidence: Evidence) -> None:
    """The figures follow from the credit lines and the resolved rules, and are the statement's."""
    if not (days := period_of(check, evidence)):
        return
    for view in evidence.bundle.views:
        before = check.failures
        _check_lines(check, view, days)
        figures = _figures_of_lines(check, evidence, view, days)
        _compare(check, evidence, view, figures)
        if check.failures == before:
            check.ok(f"{view.name}: {len(view.credit_lines)} credit lines come to {totals(figures)}")


def totals(figures: Figures) -> str:
    """Write the totals by currency."""
    rows = read_figures([{**row, "salesperson_id": None} for row in figures.rows()]).rows()
    told = [
        f"{row['currency']} {row['credited']} credited, {row['adjustments']} adjustments, {row['gross']} gross"
        for row in rows
    ]
    return "; ".join(told) or "nothing"


def period_of(check: Check, evidence: Evidence) -> tuple[str, str] | None:
    """Give the first day of the period and the first one after it; None of the whole ledger."""
    manifest = evidence.bundle.manifest
    if manifest is None:
        check.fail(NO_MANIFEST, MANIFEST)
        return None
    if manifest["scope"] == "whole":
        if not check.failures:
            check.ok("the whole ledger has no views")
        return None
    if None in (manifest["period"], manifest["start"], manifest["end"]):
        check.fail(NO_MANIFEST, MANIFEST)
        return None
    return manifest["start"], manifest["end"]


def _check_lines(check: Check, view: View, days: tuple[str, str]) -> None:
    for row in view.credit_lines:
        if row.values["position"] > view.position:
            check.fail(f"it is not known yet at position {view.position}", row.where)
        if not days[0] <= row.values["credited_on"] < days[1]:
            check.fail("it is not credited in the period", row.where)
    for one, other in pairwise(view.credit_lines):
        if _place(other) <= _place(one):
            check.fail("credit lines are sorted by position and seq, none twice", other.where)


def _place(row: Row) -> tuple[int, int]:
    return row.values["position"], row.values["seq"]


class Resolved:
    """The resolved rules of a view: which row is for a profile on a day."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = dict[Any, list[Row]]()
        for row in sorted(rows, key=lambda row: str(row.values["valid_from"])):
            self.rows.setdefault(row.values["profile"], []).append(row)

    def overlapping(self) -> Iterator[Row]:
        """Give the rows that are for days of another one, or for none."""
        for rows in self.rows.values():
            yield from (row for row in rows if row.values["valid_from"] >= row.values["valid_to"])
            for one, other in pairwise(rows):
                if other.values["valid_from"] < one.values["valid_to"]:
                    yield other

    def on(self, profile: Any, day: str) -> Row | None:
        """Give the row for a profile on a day."""
        for row in self.rows.get(profile, ()):
            if row.values["valid_from"] <= day < row.values["valid_to"]:
                return row
        return None


def _figures_of_lines(check: Check, evidence: Evidence, view: View, days: tuple[str, str]) -> Figures:
    resolved = Resolved(view.rules)
    for row in resolved.overlapping():
        check.fail("it is for no day, or for days of another row", row.where)
    credited, gross = counted(_with_shares(view, resolved))
    closings = evidence.recomputation.closings
    period = evidence.bundle.manifest["period"] if evidence.bundle.manifest else ""
    own = less(credited, closings.carried_out(period, view.position))
    return Figures(own, gross, closings.booked_into(days, view.position))


def _with_shares(view: View, resolved: Resolved) -> Iterator[tuple[tuple[str | None, str], int, int]]:
    for line in view.credit_lines:
        told = line.values
        rule = resolved.on(told["profile"], told["ordered_on"])
        yield (told["salesperson_id"], told["currency"]), told["amount"], rule.values["share"] if rule else 0


def _compare(check: Check, evidence: Evidence, view: View, expected: Figures) -> None:
    """Hold what the view says, and what its statement says, against the figures that follow."""
    for told in differences("the view", expected, read_figures(view.values["figures"])):
        check.fail(told, view.where)
    if not check.failures and view.values["figures"] != expected.rows():
        check.fail("its figures are not written in their one way: sorted, shortest decimals, no zeros", view.where)
    event = statement_of(evidence, view)
    if event is not None:
        for told in differences("the statement", expected, read_figures(event.data["statement"]["figures"])):
            check.fail(told, event.where)

"""The check of everything again, from the events alone: statements, drifts, and the views line by line."""

from collections.abc import Iterable
from typing import Any

from verifier.bundle import CREDIT_LINES, EVENTS, MANIFEST, RULES, Row, View
from verifier.documents import ATTRIBUTES
from verifier.evidence import Evidence
from verifier.figures import Figures, differences, read_adjustments, read_figures
from verifier.findings import Check, Malformed, shown
from verifier.periods import period_days
from verifier.recomputation import CountedCredit, Known
from verifier.rules import RuleVersion, Values
from verifier.statements import NO_MANIFEST
from verifier.views import Resolved, period_of


def check_recomputation(check: Check, evidence: Evidence) -> None:
    """The credit lines, the rules that decide, the figures and the drifts follow from the events alone."""
    for problem in evidence.recomputation.problems:
        check.malformed(problem, EVENTS)
    manifest = evidence.bundle.manifest
    closings = evidence.recomputation.closings
    if manifest is None:
        check.fail(NO_MANIFEST, MANIFEST)
        return
    if manifest["scope"] == "whole":
        periods = list(dict.fromkeys([*closings.periods(), *(event.data["period"] for event in closings.carried)]))
    else:
        periods = [manifest["period"]] if manifest["period"] else []
        for view in evidence.bundle.views:
            _recompute_view(check, evidence, view)
    for period in periods:
        _recompute_period(check, evidence, period)
    if not check.failures:
        check.ok(f"the events of {evidence.recomputation.orders} orders, folded, come to what is stated")


def _recompute_period(check: Check, evidence: Evidence, period: str) -> None:
    """Hold the statements of a period, and what was carried out of it, against the events."""
    recomputed, before = evidence.recomputation, check.failures
    try:
        days = period_days(evidence.settings, period)
    except Malformed as error:
        check.malformed(error, MANIFEST)
        return
    statements = recomputed.closings.statements_of(period)
    carried = [event for event in recomputed.closings.carried if event.data["period"] == period]
    for event in statements:
        statement = event.data["statement"]
        expected = recomputed.figures(period, days, statement["position"])
        for told in differences("the statement", expected, read_figures(statement["figures"])):
            check.fail(told, event.where)
    for event in carried:
        drift = Figures(recomputed.drift(period, days, event.data["position"]))
        for told in differences("what is carried forward", drift, Figures(read_adjustments(event.data["adjustments"]))):
            check.fail(told, event.where)
    if check.failures == before:
        check.ok(
            f"{period}: {len(statements)} statements and {len(carried)} carry-forwards follow from the events alone"
        )


def _recompute_view(check: Check, evidence: Evidence, view: View) -> None:
    if not (days := period_of(check, evidence)) or evidence.bundle.manifest is None:
        return
    before = check.failures
    figures = evidence.recomputation.figures(evidence.bundle.manifest["period"], days, view.position)
    for told in differences("the view", figures, read_figures(view.values["figures"])):
        check.fail(told, view.where)
    _compare_lines(check, view, evidence.recomputation.counted(days, view.position))
    _compare_rules(check, evidence, view)
    if check.failures == before:
        check.ok(f"{view.name}: its figures, credit lines and rules follow from the events alone")


def _compare_lines(check: Check, view: View, counted_credits: Iterable[CountedCredit]) -> None:
    """Hold the credit lines against what each event brings: sums by position, order line, salesperson and the rest."""
    expected, found = dict[Any, list[int]](), dict[Any, list[int]]()
    where = dict[Any, str]()
    for each in counted_credits:
        _add(expected, _key_of(each), each.credit.quantity, each.credit.amount)
    for row in view.credit_lines:
        key = tuple(row.values[name] for name in _KEY)
        _add(found, key, row.values["quantity"], row.values["amount"])
        where.setdefault(key, row.where)
    for key in {**expected, **found}:
        ours, theirs = expected.get(key, [0, 0]), found.get(key, [0, 0])
        if ours != theirs:
            line = f"order {shown(key[1])}, line {key[2]}, {shown(key[3])}, credited on {key[5]}, position {key[0]}"
            check.fail(
                f"{line}: quantity and amount are {theirs} micros, {ours} follow from the events",
                where.get(key, f"{view.folder}/{CREDIT_LINES}"),
            )


_KEY = (
    "position",
    "order_id",
    "line_no",
    "salesperson_id",
    "ordered_on",
    "credited_on",
    "order_type",
    "customer_id",
    "customer_class",
    "product_id",
    "category",
    "currency",
)


def _key_of(each: CountedCredit) -> tuple[Any, ...]:
    entry, known = each.credit.entry, dict(zip(ATTRIBUTES, each.values, strict=True))
    told = {name: known.get(name) or getattr(entry, name, None) for name in _KEY}
    told |= {"position": each.credit.position, "category": known["category"]}
    return tuple(told[name] for name in _KEY)


def _add(sums: dict[Any, list[int]], key: Any, quantity: int, amount: int) -> None:
    both = sums.setdefault(key, [0, 0])
    both[0] += quantity
    both[1] += amount


def _compare_rules(check: Check, evidence: Evidence, view: View) -> None:
    """Hold the resolved rules against the rulebook: on each day that a row covers, and on each line's own day."""
    known, resolved = Known(evidence.recomputation.others, view.position), Resolved(view.rules)
    met = dict[tuple[Any, Values], None]()
    for row in view.credit_lines:
        told = row.values
        values = known.rules.folded(tuple(told[name] for name in ATTRIBUTES))
        met[told["profile"], values] = None
        decides, found = (
            known.rules.deciding(values, told["ordered_on"]),
            resolved.on(told["profile"], told["ordered_on"]),
        )
        if (decides is None) != (found is None):
            said = (
                f"{'a' if found else 'no'} rule is resolved for it, {'none' if found else 'one'} decides by the events"
            )
            check.fail(said, row.where)
    for profile, values in met:
        for row in resolved.rows.get(profile, ()):
            for day in _days_of(row, known.rules.days):
                if not _is_of(row, known.rules.deciding(values, day)):
                    check.fail(f"by the events another rule decides on {day}", row.where)
                    break
    if unused := set(resolved.rows) - {profile for profile, _ in met}:
        check.ok(f"{view.name}: {len(unused)} profiles of {RULES} are of no credit line, so nothing depends on them")


def _days_of(row: Row, changes: list[str]) -> list[str]:
    """Give the days on which the rule of a row may change, its first one included."""
    start, end = row.values["valid_from"], row.values["valid_to"]
    return [start, *(day for day in changes if start < day < end)]


def _is_of(row: Row, version: RuleVersion | None) -> bool:
    told = row.values
    return version is not None and (
        tuple(told[name] for name in ATTRIBUTES),
        told["share"],
        told["rule_change_id"],
        told["rule_position"],
    ) == (version.conditions, version.share, version.rule_change_id, version.position)

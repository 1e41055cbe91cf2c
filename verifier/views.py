"""The checks of what the events mean: statements, the figures of views, and all of it again from the events alone."""

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise
from typing import Any

from verifier.bundle import CREDIT_LINES, MANIFEST, NOW, RULES, Row, View
from verifier.documents import ATTRIBUTES, Event
from verifier.evidence import Evidence
from verifier.figures import Figures, counted, differences, digest_of, less, read_adjustments, read_figures
from verifier.findings import Check, Malformed, shown
from verifier.periods import period_days
from verifier.recomputation import CountedCredit, Known
from verifier.rules import RuleVersion, Values

NO_MANIFEST = "the manifest, which says which period this is about, can't be read"


# ---- statements


def check_statements(check: Check, evidence: Evidence) -> None:
    """Statements are as recorded: their hashes, their versions, and a view for each of the period."""
    closings = evidence.recomputation.closings
    for period in closings.periods():
        for version, event in enumerate(closings.statements_of(period), 1):
            _check_statement(check, evidence, event, version)
    for event in closings.carried:
        if digest_of(event.data["adjustments"], ["credited"]) != event.data["digest"]:
            check.fail("its digest is not that of its adjustments", event.where)
    if evidence.bundle.manifest is None:
        check.fail(NO_MANIFEST, MANIFEST)
        return
    _check_period(check, evidence, evidence.bundle.manifest)
    for view in evidence.bundle.views:
        _check_view(check, evidence, view)
    if not check.failures:
        check.ok(f"{len(closings.statements)} statements and {len(closings.carried)} carry-forwards as recorded")


def _check_statement(check: Check, evidence: Evidence, event: Event, version: int) -> None:
    statement = event.data["statement"]
    if statement["version"] != version or (event.type == "period.closed") != (version == 1):
        check.fail(f"its statement is version {statement['version']} where {version} is due", event.where)
    if digest_of(statement["figures"], AMOUNTS_HASHED) != statement["digest"]:
        check.fail("its statement's digest is not that of its figures", event.where)
    keys = {(row["salesperson_id"], row["currency"]) for row in statement["figures"]}
    check.require(len(keys) == len(statement["figures"]), "its statement has a salesperson twice", event.where)
    check.require(statement["position"] < event.position, "its statement knows what came after it", event.where)
    expected = evidence.recomputation.rulebook_position(statement["position"])
    if statement["rulebook_position"] != expected:
        said = f"its rulebook is of position {statement['rulebook_position']}, known at its position is {expected}"
        check.fail(said, event.where)


AMOUNTS_HASHED = ("credited", "adjustments", "gross")


def _check_period(check: Check, evidence: Evidence, manifest: dict[str, Any]) -> None:
    """See that the period's days are those of the ledger's calendar, and that its views are all there."""
    told = manifest["period"], manifest["start"], manifest["end"]
    if manifest["scope"] == "whole":
        check.require(told == (None, None, None), "the whole ledger is of no period", MANIFEST)
        check.require(not manifest["views"], "the whole ledger has no views", MANIFEST)
        return
    if None in told:
        check.fail("it names no period, or not its days", MANIFEST)
        return
    try:
        days = period_days(evidence.settings, manifest["period"])
        if days != told[1:]:
            check.fail(f"period {told[0]} is {days[0]} to {days[1]} by the ledger's calendar", MANIFEST)
    except Malformed as error:
        check.malformed(error, MANIFEST)
    statements = evidence.recomputation.closings.statements_of(manifest["period"])
    expected = [*(f"statement-{number}" for number in range(1, len(statements) + 1)), NOW]
    if manifest["views"] != expected:
        check.fail(f"its views should be {', '.join(expected)}", MANIFEST)
    for event in statements:
        if not _is_day_before(event.effective, manifest["end"]):
            check.fail(f"it is not of the last day before {manifest['end']}", event.where)


def _is_day_before(day: str, other: str) -> bool:
    return date.fromisoformat(other).toordinal() - date.fromisoformat(day).toordinal() == 1


def _check_view(check: Check, evidence: Evidence, view: View) -> None:
    told = view.values
    check.require(told["name"] == view.name, f"it is named {told['name']}, in the folder {view.name}", view.where)
    expected = evidence.recomputation.rulebook_position(view.position)
    if told["rulebook_position"] != expected:
        check.fail(f"its rulebook is of {told['rulebook_position']}, known at its position is {expected}", view.where)
    if view.name == NOW:
        check.require(view.position == evidence.size, f"it is not of position {evidence.size}", view.where)
        nothing = told["statement"] is None and told["statement_position"] is None
        check.require(nothing, "what is known now is no statement", view.where)
        return
    event = _statement_of(evidence, view)
    if event is None:
        check.fail("no event of the bundle is this statement of the period", view.where)
        return
    if told["statement_position"] != event.position:
        check.fail(f"the statement is at position {event.position}", view.where)
    if told["statement"] != event.data["statement"]:
        check.fail(f"the statement is not the one recorded at position {event.position}", view.where)
    if view.position != event.data["statement"]["position"]:
        check.fail(f"the statement is known at position {event.data['statement']['position']}", view.where)


def _statement_of(evidence: Evidence, view: View) -> Event | None:
    """Give the event that records a view's statement."""
    period = evidence.bundle.manifest["period"] if evidence.bundle.manifest else None
    for event in evidence.recomputation.closings.statements_of(period or ""):
        if f"statement-{event.data['statement']['version']}" == view.name:
            return event
    return None


# ---- figures of the credit lines and the resolved rules


def check_figures(check: Check, evidence: Evidence) -> None:
    """The figures follow from the credit lines and the resolved rules, and are the statement's."""
    if not (days := _days(check, evidence)):
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


def _days(check: Check, evidence: Evidence) -> tuple[str, str] | None:
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
    event = _statement_of(evidence, view)
    if event is not None:
        for told in differences("the statement", expected, read_figures(event.data["statement"]["figures"])):
            check.fail(told, event.where)


# ---- all of it again, from the events alone


def check_recomputation(check: Check, evidence: Evidence) -> None:
    """The credit lines, the rules that decide, the figures and the drifts follow from the events alone."""
    for problem in evidence.recomputation.problems:
        check.malformed(problem, "events.ndjson")
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
    if not (days := _days(check, evidence)) or evidence.bundle.manifest is None:
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

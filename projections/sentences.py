"""Sentences: an explanation, or a finding of a review, in English for the people it concerns. Pure.

Every sentence is made of an explanation's or a finding's own data and says nothing that is not in it. People, customers
and products are named where the order names them, and by their ids otherwise. Days are business days; moments are those
of UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import assert_never

from ledger.events import Conditions
from ledger.money import rounded_text, share_text
from ledger.rules import ATTRIBUTES, Standing
from projections.alternatives import Alternative, Circumstance
from projections.explanation import ExplainedLine, ExplainedRule, Explanation, Kind
from projections.performance import CREDITED_DECIMALS
from projections.review import Finding, FindingKind
from projections.told import Origin, Told

MICROS_DECIMALS = 6
_ASKED = {
    "product_id": "the product",
    "category": "the product category",
    "customer_id": "the customer",
    "customer_class": "the customer class",
    "salesperson_id": "the salesperson",
    "order_type": "the order type",
}


def sentences(explanation: Explanation) -> list[str]:
    """Say what became of an order: what does not hold any more first, then its lines, those alike in one sentence."""
    said, told = _of_cancellation(explanation), set[object]()
    for alike in _alike(explanation.lines):
        line = alike[0]
        said.append(_of_lines(explanation, alike))
        if (line.decider, line.alternatives) not in told:  # once, not for what is taken back again
            said += [_of_alternative(alternative, line) for alternative in _told_apart(line.alternatives)]
        told.add((line.decider, line.alternatives))
    return said


def why(line: ExplainedLine) -> str:
    """Say why the rule that decides about a line wins over the others that match it."""
    decider = line.decider
    if decider is None:
        return "No rule covers the order's day, so it does not count."
    others = [rule for rule in line.rules if rule is not decider and rule.standing is not Standing.other_days]
    reasons = [
        *_reasons_over(decider, [rule for rule in others if rule.standing is Standing.less_specific]),
        *_reasons_of_versions(decider, others),
        *_reasons_of_ended(decider, others),
    ]
    rule = f"The rule for {orders_of(decider.conditions)} decides (position {decider.position})"
    return f"{rule}: {'; '.join(reasons)}." if reasons else f"{rule}: no other rule for such an order covers its day."


def _reasons_over(decider: ExplainedRule, losers: Sequence[ExplainedRule]) -> Iterable[str]:
    for loser in losers:
        first = next(
            name
            for name in ATTRIBUTES
            if getattr(decider.conditions, name) is not None and getattr(loser.conditions, name) is None
        )
        yield f"it goes before the rule for {orders_of(loser.conditions)} because it names {_ASKED[first]}"


def _reasons_of_versions(decider: ExplainedRule, others: Sequence[ExplainedRule]) -> Iterable[str]:
    older = [str(rule.position) for rule in others if rule.conditions == decider.conditions]
    if older:
        yield f"of the versions of this rule it is the latest recorded (after position {_listed(older, 'and')})"


def _reasons_of_ended(decider: ExplainedRule, others: Sequence[ExplainedRule]) -> Iterable[str]:
    for rule in others:
        if rule.standing is Standing.ended:
            yield (
                f"the rule for {orders_of(rule.conditions)} is ended on that day"
                f" (rule change {rule.rule_change_id}, position {rule.position})"
            )


# ---- the order


def _of_cancellation(explanation: Explanation) -> list[str]:
    event = explanation.cancellation
    if event is None:
        return []
    order = f"Order {explanation.order_id} of {day_text(explanation.ordered_on)}"
    by = f"(recorded on {moment_text(event.recorded_at)} by {event.actor}, position {event.position})"
    said = [f"{order} was voided {by}: it counts for nobody, as if it had never been placed."]
    if not explanation.voided:
        on = day_text(event.effective_on)
        said = [f"{order} was cancelled on {on} {by}: what was left of it is taken back on that day."]
    for alternative in explanation.alternatives:
        amount = rounded_text(alternative.credited or 0, CREDITED_DECIMALS, explanation.currency)
        verb = "voided" if alternative.circumstance is Circumstance.not_voided else "cancelled"
        said.append(f"If it had not been {verb}, {amount} {explanation.currency} of it would be credited.")
    return said


# ---- its lines


def _alike(lines: Iterable[ExplainedLine]) -> list[list[ExplainedLine]]:
    """Put together what is of one kind, day and person and has one fate, in the order of the lines."""
    groups = dict[tuple[object, ...], list[ExplainedLine]]()
    for line in lines:
        fate = line.share, line.decider, line.customer_class, _deciding_category(line), line.alternatives
        groups.setdefault((line.kind, line.credited_on, line.salesperson_id, *fate), []).append(line)
    return list(groups.values())


def _deciding_category(line: ExplainedLine) -> Told | None:
    return line.category if line.decider and line.decider.conditions.category is not None else None


def _of_lines(explanation: Explanation, alike: Sequence[ExplainedLine]) -> str:
    line, decider = alike[0], alike[0].decider
    about = _subject(explanation, alike)
    because = ", and ".join([*_facts(decider, line), _rule_clause(decider)]) if decider else "no rule covers its day"
    if line.salesperson_id is None:
        even_then = "" if line.share else f", and it would not count if one were: {because}"
        return f"{about} credited to nobody: no salesperson is assigned to it{even_then}."
    person = _named(line.salesperson_id, line.salesperson_name)
    if line.share == 0:
        return f"{about} not credited to {person}: {because}."
    amount = rounded_text(sum(part.credited for part in alike), CREDITED_DECIMALS, line.currency)
    gross = rounded_text(sum(part.amount for part in alike), MICROS_DECIMALS, line.currency)
    return (
        f"{about} credited to {person} with {amount} {line.currency} ({gross} at {share_text(line.share)})"
        f" on {day_text(line.credited_on)}: {because}."
    )


def _subject(explanation: Explanation, alike: Sequence[ExplainedLine]) -> str:
    """Say what is credited, up to the verb: the whole order, its return or cancellation, or some lines of those."""
    first, verb = alike[0], "is"
    order = f"order {explanation.order_id} of {day_text(explanation.ordered_on)}"
    if first.kind is not Kind.sale:
        order = f"the {first.kind} of {day_text(first.credited_on)} of {order}"
    same = [
        line
        for line in explanation.lines
        if (line.kind, line.credited_on, line.salesperson_id) == (first.kind, first.credited_on, first.salesperson_id)
    ]
    if len(same) > len(alike):
        numbers = [f"line {line.line_no} ({_named(line.product_id, line.product_name)})" for line in alike]
        order = f"of {order} {_listed(numbers, 'and')}"
        verb = "is" if len(numbers) == 1 else "are"
    return f"{order[0].upper()}{order[1:]} {verb}"


def _facts(decider: ExplainedRule, line: ExplainedLine) -> Iterable[str]:
    """Say the reference facts that made the deciding rule match."""
    if decider.conditions.category is not None and line.category.origin is Origin.fact:
        product = _named(line.product_id, line.product_name)
        yield f"product {product} is of category {line.category.value} {_since(line.category)}"
    if decider.conditions.customer_class is not None:
        is_one = class_text(line.customer_class.value or "")
        yield f"customer {line.customer_id} is {is_one} {_since(line.customer_class)}"


def _since(told: Told) -> str:
    assert told.effective_from is not None, "a fact has a first day"
    assert told.recorded_at is not None, "a fact was recorded"
    since = f"since {day_text(told.effective_from)}"
    if told.effective_to is not None:
        since = f"from {day_text(told.effective_from)} to {day_text(told.effective_to - timedelta(1))}"
    return f"{since} (recorded on {moment_text(told.recorded_at)} by {told.actor}, position {told.position})"


def _rule_clause(rule: ExplainedRule) -> str:
    counts = f"count at {share_text(rule.share)}" if rule.share else "do not count"
    if rule.proposer == rule.approver:
        people = f"proposed and approved by {rule.proposer}"
    else:
        people = f"proposed by {rule.proposer}, approved by {rule.approver}"
    return (
        f"{orders_of(rule.conditions)} {counts} (rule change {rule.rule_change_id}, position {rule.position}, {people})"
    )


# ---- what would make it count


def _told_apart(alternatives: Sequence[Alternative]) -> Iterable[Sequence[Alternative]]:
    """Put the other order types of one share into one sentence."""
    for circumstance, group in groupby(alternatives, key=lambda alternative: alternative.circumstance):
        if circumstance is not Circumstance.other_order_type:
            yield from ([alternative] for alternative in group)
            continue
        by_share = dict[int | None, list[Alternative]]()
        for alternative in group:
            by_share.setdefault(alternative.share, []).append(alternative)
        yield from by_share.values()


def _of_alternative(group: Sequence[Alternative], line: ExplainedLine) -> str:
    alternative = group[0]
    at = share_text(alternative.share or 0)
    match alternative.circumstance:
        case Circumstance.no_customer_class:
            return f"It would count at {at} if {line.customer_id} were not {class_text(alternative.value or '')}."
        case Circumstance.own_category:
            own = f"were of the order's category {alternative.value}" if alternative.value else "had no category"
            return f"It would count at {at} if product {_named(line.product_id, line.product_name)} {own}."
        case Circumstance.other_salesperson:
            return f"It would count at {at} for a salesperson that no rule names."
        case Circumstance.assigned:
            return f"It would count at {at} for a salesperson it is assigned to and whom no rule names."
        case Circumstance.rule_ended:
            assert alternative.rule is not None, "some rule decides at a share above 0"
            next_rule = orders_of(alternative.rule.conditions)
            return f"It would count at {at} if that rule were ended on its day: the rule for {next_rule} would decide."
        case Circumstance.other_order_type:
            types = [other.value or "" for other in group]
            return f"It would count at {at} as an order of type {_listed(types, 'or')}."
        case _:
            return "It would count if that rule had a share above 0 on its day."


# ---- findings of a review


def of_finding(finding: Finding) -> str:
    """Say what a review found, how many orders it concerns and what they are worth."""
    types = _listed(finding.order_types, "and") if finding.order_types else ""
    rule = orders_of(finding.conditions) if finding.conditions else ""
    match finding.kind:
        case FindingKind.unused_order_type:
            return f"No order is of type {types}."
        case FindingKind.unmatched_rule:
            return f"The rule for {rule} has matched no order on its days."
        case FindingKind.shadowed_rule:
            winners = _listed([orders_of(conditions) for conditions in finding.shadowed_by], "and")
            return (
                f"The rule for {rule} matches {_worth(finding)} but decides none: more specific rules do ({winners})."
            )
        case FindingKind.alike_order_types:
            return f"The rules do not tell the types {types} apart: one would do for {_worth(finding)}."
        case FindingKind.known_customer_as_first:
            return f"{_worth(finding)} of type {types}, of customers who had ordered before."
        case FindingKind.first_order_as_repeat:
            return f"{_worth(finding)} of type {types} that are their customers' first."
        case FindingKind.reclassified_often:
            return f"{_worth(finding)} whose type was changed twice or more."
        case _:
            assert_never(finding.kind)


def _worth(finding: Finding) -> str:
    amounts = [
        f"{rounded_text(amount.amount, MICROS_DECIMALS, amount.currency)} {amount.currency}"
        for amount in finding.amounts
    ]
    orders = "1 order" if finding.orders == 1 else f"{finding.orders} orders"
    return f"{orders} (of {_listed(amounts, 'and')})" if amounts else orders


# ---- words


def orders_of(conditions: Conditions) -> str:
    """Say which orders a rule is for: "orders of house accounts"."""
    words = {
        "product_id": "product {}",
        "category": "product category {}",
        "customer_id": "customer {}",
        "salesperson_id": "salesperson {}",
        "order_type": "type {}",
    }
    parts = list[str]()
    for name in ATTRIBUTES:
        value = getattr(conditions, name)
        if value is not None:
            parts.append(f"of {_plural(value) if name == 'customer_class' else words[name].format(value)}")
    return f"orders {_listed(parts, 'and')}"


def class_text(customer_class: str) -> str:
    """Say what a customer of a class is: "a house account"; ids that are no words stay ids."""
    if not _is_words(customer_class):
        return f"of class {customer_class}"
    words = customer_class.replace("-", " ")
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _plural(customer_class: str) -> str:
    return (
        customer_class.replace("-", " ") + "s" if _is_words(customer_class) else f"customers of class {customer_class}"
    )


def _is_words(text: str) -> bool:
    return text.isascii() and text.islower() and text.replace("-", "").isalpha() and len(text) > 2


def day_text(day: date) -> str:
    """Write a day: "14 July 2026"."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def moment_text(at: datetime) -> str:
    """Write the day of a moment."""
    return day_text(at.date())


_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def _named(identifier: str, name: str | None) -> str:
    return f"{name} ({identifier})" if name else identifier


def _listed(parts: Sequence[str], last: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"

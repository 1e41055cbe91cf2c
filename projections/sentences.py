"""Sentences: an explanation, or a finding of a review, in words for the people it concerns. Pure.

Every sentence is made of an explanation's or a finding's own data and says nothing that is not in it. People, customers
and products are named where the order names them, and by their ids otherwise. Days are business days; moments are those
of UTC. Every template is a whole sentence or a clause, so that a language with another order of words can tell it too.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import assert_never

from ledger.events import Conditions
from ledger.money import rounded_text, share_text
from ledger.rules import ATTRIBUTES, Standing
from ledger.wording import Sentence, joined, say
from projections.alternatives import Alternative, Circumstance
from projections.explanation import ExplainedLine, ExplainedRule, Explanation, Kind
from projections.performance import CREDITED_DECIMALS
from projections.review import Finding, FindingKind
from projections.told import Origin, Told

MICROS_DECIMALS = 6
_ASKED = {
    "product_id": say("the product"),
    "category": say("the product category"),
    "customer_id": say("the customer"),
    "customer_class": say("the customer class"),
    "salesperson_id": say("the salesperson"),
    "order_type": say("the order type"),
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


def sentence_left(explanation: Explanation, person: str) -> str:
    """Say to somebody who was credited with an order that they are not any more."""
    return say(
        "Order {order_id} of {ordered_on} was reassigned (position {position}): nothing of it is credited to {person}"
        " any more.",
        order_id=explanation.order_id,
        ordered_on=day_text(explanation.ordered_on),
        position=explanation.left[person],
        person=person,
    )


def why(line: ExplainedLine) -> str:
    """Say why the rule that decides about a line wins over the others that match it."""
    decider = line.decider
    if decider is None:
        return say("No rule covers the order's day, so it does not count.")
    others = [rule for rule in line.rules if rule is not decider and rule.standing is not Standing.other_days]
    reasons = [
        *_reasons_over(decider, [rule for rule in others if rule.standing is Standing.less_specific]),
        *_reasons_of_versions(decider, others),
        *_reasons_of_ended(decider, others),
    ]
    if not reasons:
        return say(
            "The rule for {orders} decides (position {position}): no other rule for such an order covers its day.",
            orders=orders_of(decider.conditions),
            position=decider.position,
        )
    return say(
        "The rule for {orders} decides (position {position}): {reasons}.",
        orders=orders_of(decider.conditions),
        position=decider.position,
        reasons=joined(reasons, say("; ")),
    )


def _reasons_over(decider: ExplainedRule, losers: Sequence[ExplainedRule]) -> Iterable[str]:
    for loser in losers:
        first = next(
            name
            for name in ATTRIBUTES
            if getattr(decider.conditions, name) is not None and getattr(loser.conditions, name) is None
        )
        yield say(
            "it goes before the rule for {orders} because it names {attribute}",
            orders=orders_of(loser.conditions),
            attribute=_ASKED[first],
        )


def _reasons_of_versions(decider: ExplainedRule, others: Sequence[ExplainedRule]) -> Iterable[str]:
    older = [str(rule.position) for rule in others if rule.conditions == decider.conditions]
    if older:
        yield say(
            "of the versions of this rule it is the latest recorded (after position {positions})",
            positions=_listed(older),
        )


def _reasons_of_ended(decider: ExplainedRule, others: Sequence[ExplainedRule]) -> Iterable[str]:
    for rule in others:
        if rule.standing is Standing.ended:
            yield say(
                "the rule for {orders} is ended on that day (rule change {rule_change_id}, position {position})",
                orders=orders_of(rule.conditions),
                rule_change_id=rule.rule_change_id,
                position=rule.position,
            )


# ---- the order


def _of_cancellation(explanation: Explanation) -> list[str]:
    event = explanation.cancellation
    if event is None:
        return []
    about = {
        "order_id": explanation.order_id,
        "ordered_on": day_text(explanation.ordered_on),
        "recorded_on": moment_text(event.recorded_at),
        "actor": event.actor,
        "position": event.position,
    }
    if explanation.voided:
        voided = say(
            "Order {order_id} of {ordered_on} was voided (recorded on {recorded_on} by {actor}, position {position}):"
            " it counts for nobody, as if it had never been placed.",
            **about,
        )
        return [voided, *_of_life_without(explanation)]
    cancelled = say(
        "Order {order_id} of {ordered_on} was cancelled on {day} (recorded on {recorded_on} by {actor},"
        " position {position}): what was left of it is taken back on that day.",
        **about,
        day=day_text(event.effective_on),
    )
    return [cancelled, *_of_life_without(explanation)]


def _of_life_without(explanation: Explanation) -> Iterable[str]:
    for alternative in explanation.alternatives:
        amount = rounded_text(alternative.credited or 0, CREDITED_DECIMALS, explanation.currency)
        currency = explanation.currency
        if alternative.circumstance is Circumstance.not_voided:
            yield say(
                "If it had not been voided, {amount} {currency} of it would be credited.",
                amount=amount,
                currency=currency,
            )
        else:
            yield say(
                "If it had not been cancelled, {amount} {currency} of it would be credited.",
                amount=amount,
                currency=currency,
            )


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
    because = (
        joined([*_facts(decider, line), _rule_clause(decider)], say(", and "))
        if decider
        else say("no rule covers its day")
    )
    if line.salesperson_id is None:
        if line.share:
            return say("{about} credited to nobody: no salesperson is assigned to it.", about=about)
        return say(
            "{about} credited to nobody: no salesperson is assigned to it, and it would not count if one were:"
            " {because}.",
            about=about,
            because=because,
        )
    person = _named(line.salesperson_id, line.salesperson_name)
    if line.share == 0:
        return say("{about} not credited to {person}: {because}.", about=about, person=person, because=because)
    return say(
        "{about} credited to {person} with {amount} {currency} ({gross} at {share}) on {day}: {because}.",
        about=about,
        person=person,
        amount=rounded_text(sum(part.credited for part in alike), CREDITED_DECIMALS, line.currency),
        currency=line.currency,
        gross=rounded_text(sum(part.amount for part in alike), MICROS_DECIMALS, line.currency),
        share=share_text(line.share),
        day=day_text(line.credited_on),
        because=because,
    )


def _subject(explanation: Explanation, alike: Sequence[ExplainedLine]) -> Sentence:
    """Say what is credited, with the verb: the whole order, its return or cancellation, or some lines of those."""
    first = alike[0]
    about = {
        "order_id": explanation.order_id,
        "ordered_on": day_text(explanation.ordered_on),
        "day": day_text(first.credited_on),
    }
    same = [
        line
        for line in explanation.lines
        if (line.kind, line.credited_on, line.salesperson_id) == (first.kind, first.credited_on, first.salesperson_id)
    ]
    if len(same) == len(alike):
        return _whole_subject(first.kind, about)
    lines = _listed(
        [
            say(
                "line {line_no} ({product})",
                line_no=line.line_no,
                product=_named(line.product_id, line.product_name),
            )
            for line in alike
        ]
    )
    of = _subject_of_lines(first.kind, about)
    return say("{of} {line} is", of=of, line=lines) if len(alike) == 1 else say("{of} {lines} are", of=of, lines=lines)


def _whole_subject(kind: Kind, about: dict[str, str]) -> Sentence:
    match kind:
        case Kind.sale:
            return say("Order {order_id} of {ordered_on} is", **about)
        case Kind.returned:
            return say("The return of {day} of order {order_id} of {ordered_on} is", **about)
        case Kind.cancellation:
            return say("The cancellation of {day} of order {order_id} of {ordered_on} is", **about)
        case _:
            assert_never(kind)


def _subject_of_lines(kind: Kind, about: dict[str, str]) -> Sentence:
    match kind:
        case Kind.sale:
            return say("Of order {order_id} of {ordered_on}", **about)
        case Kind.returned:
            return say("Of the return of {day} of order {order_id} of {ordered_on}", **about)
        case Kind.cancellation:
            return say("Of the cancellation of {day} of order {order_id} of {ordered_on}", **about)
        case _:
            assert_never(kind)


def _facts(decider: ExplainedRule, line: ExplainedLine) -> Iterable[str]:
    """Say the reference facts that made the deciding rule match."""
    if decider.conditions.category is not None and line.category.origin is Origin.fact:
        yield say(
            "product {product} is of category {category} {since}",
            product=_named(line.product_id, line.product_name),
            category=line.category.value,
            since=_since(line.category),
        )
    if decider.conditions.customer_class is not None:
        yield say(
            "customer {customer_id} is {customer_class} {since}",
            customer_id=line.customer_id,
            customer_class=class_text(line.customer_class.value or ""),
            since=_since(line.customer_class),
        )


def _since(told: Told) -> Sentence:
    assert told.effective_from is not None, "a fact has a first day"
    assert told.recorded_at is not None, "a fact was recorded"
    recorded = {"recorded_on": moment_text(told.recorded_at), "actor": told.actor, "position": told.position}
    if told.effective_to is not None:
        return say(
            "from {first} to {last} (recorded on {recorded_on} by {actor}, position {position})",
            first=day_text(told.effective_from),
            last=day_text(told.effective_to - timedelta(1)),
            **recorded,
        )
    return say(
        "since {first} (recorded on {recorded_on} by {actor}, position {position})",
        first=day_text(told.effective_from),
        **recorded,
    )


def _rule_clause(rule: ExplainedRule) -> Sentence:
    about = {
        "orders": orders_of(rule.conditions),
        "rule_change_id": rule.rule_change_id,
        "position": rule.position,
        "people": say("proposed by {proposer}, approved by {approver}", proposer=rule.proposer, approver=rule.approver)
        if rule.proposer != rule.approver
        else say("proposed and approved by {proposer}", proposer=rule.proposer),
    }
    if not rule.share:
        return say("{orders} do not count (rule change {rule_change_id}, position {position}, {people})", **about)
    return say(
        "{orders} count at {share} (rule change {rule_change_id}, position {position}, {people})",
        share=share_text(rule.share),
        **about,
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


def _of_alternative(group: Sequence[Alternative], line: ExplainedLine) -> Sentence:
    alternative = group[0]
    at = share_text(alternative.share or 0)
    match alternative.circumstance:
        case Circumstance.no_customer_class:
            return say(
                "It would count at {share} if {customer_id} were not {customer_class}.",
                share=at,
                customer_id=line.customer_id,
                customer_class=class_text(alternative.value or ""),
            )
        case Circumstance.own_category:
            return _of_own_category(at, _named(line.product_id, line.product_name), alternative.value)
        case Circumstance.other_salesperson:
            return say("It would count at {share} for a salesperson that no rule names.", share=at)
        case Circumstance.assigned:
            return say(
                "It would count at {share} for a salesperson it is assigned to and whom no rule names.", share=at
            )
        case Circumstance.rule_ended:
            assert alternative.rule is not None, "some rule decides at a share above 0"
            return say(
                "It would count at {share} if that rule were ended on its day: the rule for {orders} would decide.",
                share=at,
                orders=orders_of(alternative.rule.conditions),
            )
        case Circumstance.other_order_type:
            types = joined([other.value or "" for other in group], say(", "), say(" or "))
            return say("It would count at {share} as an order of type {types}.", share=at, types=types)
        case _:
            return say("It would count if that rule had a share above 0 on its day.")


def _of_own_category(share: str, product: str, category: str | None) -> Sentence:
    if category is None or category == "":
        return say("It would count at {share} if product {product} had no category.", share=share, product=product)
    return say(
        "It would count at {share} if product {product} were of the order's category {category}.",
        share=share,
        product=product,
        category=category,
    )


# ---- findings of a review


def of_finding(finding: Finding) -> Sentence:
    """Say what a review found, how many orders it concerns and what they are worth."""
    types = _listed(finding.order_types) if finding.order_types else ""
    rule = orders_of(finding.conditions) if finding.conditions else ""
    match finding.kind:
        case FindingKind.unused_order_type:
            return say("No order is of type {types}.", types=types)
        case FindingKind.unmatched_rule:
            return say("The rule for {orders} has matched no order on its days.", orders=rule)
        case FindingKind.shadowed_rule:
            return say(
                "The rule for {orders} matches {worth} but decides none: more specific rules do ({winners}).",
                orders=rule,
                worth=_worth(finding),
                winners=_listed([orders_of(conditions) for conditions in finding.shadowed_by]),
            )
        case FindingKind.alike_order_types:
            return say(
                "The rules do not tell the types {types} apart: one would do for {worth}.",
                types=types,
                worth=_worth(finding),
            )
        case FindingKind.known_customer_as_first:
            return say(
                "{worth} of type {types}, of customers who had ordered before.", worth=_worth(finding), types=types
            )
        case FindingKind.first_order_as_repeat:
            return say("{worth} of type {types} that are their customers' first.", worth=_worth(finding), types=types)
        case FindingKind.reclassified_often:
            return say("{worth} whose type was changed twice or more.", worth=_worth(finding))
        case _:
            assert_never(finding.kind)


def _worth(finding: Finding) -> Sentence:
    amounts = [
        f"{rounded_text(amount.amount, MICROS_DECIMALS, amount.currency)} {amount.currency}"
        for amount in finding.amounts
    ]
    orders = say("1 order") if finding.orders == 1 else say("{count} orders", count=finding.orders)
    return say("{orders} (of {amounts})", orders=orders, amounts=_listed(amounts)) if amounts else orders


# ---- words


def orders_of(conditions: Conditions) -> Sentence:
    """Say which orders a rule is for: "orders of house accounts"."""
    said: Sentence | None = None
    for name in ATTRIBUTES:
        value = getattr(conditions, name)
        if value is not None:
            condition = _condition(name, value)
            said = (
                condition if said is None else say("{conditions} and {condition}", conditions=said, condition=condition)
            )
    assert said is not None, "a rule names at least one condition"
    return say("orders {conditions}", conditions=said)


def _condition(attribute: str, value: str) -> Sentence:
    match attribute:
        case "product_id":
            return say("of product {product_id}", product_id=value)
        case "category":
            return say("of product category {category}", category=value)
        case "customer_id":
            return say("of customer {customer_id}", customer_id=value)
        case "customer_class" if _is_words(value):
            return say("of {customer_class}s", customer_class=_words(value))
        case "customer_class":
            return say("of customers of class {customer_class}", customer_class=value)
        case "salesperson_id":
            return say("of salesperson {salesperson_id}", salesperson_id=value)
        case _:
            return say("of type {order_type}", order_type=value)


def class_text(customer_class: str) -> Sentence:
    """Say what a customer of a class is: "a house account"; ids that are no words stay ids."""
    if not _is_words(customer_class):
        return say("of class {customer_class}", customer_class=customer_class)
    if customer_class[0] in "aeiou":
        return say("an {customer_class}", customer_class=_words(customer_class))
    return say("a {customer_class}", customer_class=_words(customer_class))


_WELL_KNOWN = (say("house account"),)
"""Customer classes whose names are words of the design; others are told as they are, in every language."""


def _words(customer_class: str) -> str:
    words = customer_class.replace("-", " ")
    return next((known for known in _WELL_KNOWN if known == words), words)


def _is_words(text: str) -> bool:
    return text.isascii() and text.islower() and text.replace("-", "").isalpha() and len(text) > 2


def day_text(day: date) -> Sentence:
    """Write a day: "14 July 2026"."""
    return say("{day} {month} {year}", day=day.day, month=_MONTHS[day.month - 1], year=day.year)


def moment_text(at: datetime) -> Sentence:
    """Write the day of a moment."""
    return day_text(at.date())


_MONTHS = (
    *(say("January"), say("February"), say("March"), say("April"), say("May"), say("June"), say("July")),
    *(say("August"), say("September"), say("October"), say("November"), say("December")),
)


def _named(identifier: str, name: str | None) -> str:
    return f"{name} ({identifier})" if name else identifier


def _listed(parts: Sequence[str]) -> Sentence:
    return joined(parts, say(", "), say(" and "))

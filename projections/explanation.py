"""Explanation: how an order's credit came about, as known at a position; every fact of it as data.

It is computed from the order's own stream, the rulebook and the reference facts known at the position, and from no
projection: so it also checks the figures, whose sums it must give (design, invariant 6). Sentences for people are made
of the same data in sentences.py.
Source: issue "Rules change for the past", item 5.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

import msgspec

from ledger import facts, orders
from ledger.checks import shown
from ledger.events import (
    NAMES,
    Conditions,
    CustomerClassified,
    DatedFact,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReassigned,
    ProductCategorised,
    Recorded,
    SalespersonTeamed,
)
from ledger.money import rounded_text
from ledger.orders import Order
from ledger.refusal import Code, Refusal
from ledger.rulebook import Rulebook
from ledger.rules import Candidate, Rules, Standing
from ledger.store import Store, refuse_ahead
from ledger.wording import say
from projections.alternatives import Alternative, Circumstance, alternatives, decided
from projections.credits import CreditLine, Header, credit_cells
from projections.performance import CREDITED_DECIMALS, View, view
from projections.told import LifeEvent, Origin, Told


class Kind(StrEnum):
    """What a credit line is of."""

    sale = "sale"
    returned = "return"
    cancellation = "cancellation"


@dataclass(frozen=True)
class ExplainedRule:
    """A rule version whose conditions a line meets, its standing on the order's day, and who brought it.

    Units: share in ten-thousandths, None where the version ends the rule. A version is recorded by the approval of its
    rule change: `position` and `approved_at` are the approval's.
    """

    conditions: Conditions
    share: int | None
    effective_from: date | None
    effective_to: date | None
    position: int
    standing: Standing
    rule_change_id: str
    proposer: str
    proposed_at: datetime
    proposed_position: int
    approver: str
    approved_at: datetime
    four_eyes: bool
    reason: str
    reason_code: str | None

    @property
    def recorded_at(self) -> datetime:
        """Tell when the version was recorded."""
        return self.approved_at


@dataclass(frozen=True)
class ExplainedLine:
    """A credit line, the rules that match it in precedence order, and what they make of it.

    Units: quantity and amount in micros, share in ten-thousandths, credited (exact) in 10^-10; credited_text is rounded
    to the currency's minor unit. Shape: `team` is that of the day of the credit, the others of the order's day;
    `alternatives` say what would make it count, of a line that does not or is nobody's.
    """

    kind: Kind
    line_no: int
    salesperson_id: str | None
    salesperson_name: str | None
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    product_id: str
    product_name: str | None
    category: Told
    customer_class: Told
    team: Told
    currency: str
    quantity: int
    amount: int
    rules: tuple[ExplainedRule, ...]
    share: int
    credited: int
    credited_text: str
    alternatives: tuple[Alternative, ...]

    @property
    def decider(self) -> ExplainedRule | None:
        """Give the rule version that decides."""
        return next((rule for rule in self.rules if rule.standing is Standing.decides), None)


@dataclass(frozen=True)
class ExplainedTotal:
    """What an order brings a salesperson over all time. Units: gross in micros, credited in 10^-10."""

    salesperson_id: str | None
    currency: str
    gross: int
    credited: int


@dataclass(frozen=True)
class Explanation:
    """An order as known at a position: its life, its credit lines, and why each counts or does not.

    Shape: `cancellation` is the event that cancelled or voided it; a voided order has no lines. `alternatives` are of
    the whole order. `people` are those whom it is credited to, or would be if it were not cancelled; `left` has those
    who were among them once, with the position of the event that took it from them.
    """

    order_id: str
    ordered_on: date
    order_type: str
    order_type_name: str | None
    customer_id: str
    customer_name: str | None
    currency: str
    cancellation: LifeEvent | None
    voided: bool
    life: tuple[LifeEvent, ...]
    people: frozenset[str]
    left: Mapping[str, int]
    lines: tuple[ExplainedLine, ...]
    alternatives: tuple[Alternative, ...]
    view: View

    def totals(self) -> list[ExplainedTotal]:
        """Sum the lines per salesperson (nobody first), as the figures of all time do."""
        gross, credited = Counter[str | None](), Counter[str | None]()
        for line in self.lines:
            gross[line.salesperson_id] += line.amount
            credited[line.salesperson_id] += line.credited
        people = sorted(gross, key=lambda person: (person is not None, person or ""))
        return [ExplainedTotal(person, self.currency, gross[person], credited[person]) for person in people]


def explain(store: Store, order_id: str, *, position: int | None = None) -> Explanation:
    """Explain an order as known at a position (the ledger's last where none is given).

    Errors: Refusal (order_not_found) where the order is not known at the position; position_ahead.
    """
    head = store.head()
    refuse_ahead(position or 0, head)
    known = _read(store, order_id, head if position is None else position)
    lines = tuple(known.explained_lines(known.order))
    order = known.order
    cancellation = next((_life_event(event) for event in known.events if isinstance(event.data, OrderCancelled)), None)
    return Explanation(
        order_id=order_id,
        ordered_on=order.ordered_on,
        order_type=order.order_type,
        order_type_name=known.rulebook.order_types[order.order_type].name,
        customer_id=order.customer_id,
        customer_name=order.customer_name,
        currency=order.currency,
        cancellation=cancellation,
        voided=order.cancelled is not None and order.cancelled.void,
        life=tuple(map(_life_event, known.events)),
        people=frozenset(_people(order)),
        left=_left(known.events),
        lines=lines,
        alternatives=known.alternatives(),
        view=view(store, known.position, _digest(lines)),
    )


@dataclass(frozen=True)
class _Fate:
    """What the rules make of lines of one profile on the order's day."""

    rules: tuple[ExplainedRule, ...]
    share: int
    alternatives: tuple[Alternative, ...]


@dataclass
class _Known:
    """What is known at a position of an order and of whom it concerns, and the fates found so far."""

    position: int
    order: Order
    events: list[Recorded]
    rulebook: Rulebook
    rules: Rules
    facts: Mapping[str, list[Recorded]]
    names: Mapping[str, str]
    fates: dict[tuple[Conditions, str | None], _Fate] = field(default_factory=dict)

    def explained_lines(self, order: Order) -> Iterator[ExplainedLine]:
        """Explain the credit lines of the order, or of what it would be."""
        for cell in credit_cells(order):
            for line in cell.lines:
                yield self.explained(cell.header, line)

    def explained(self, header: Header, line: CreditLine) -> ExplainedLine:
        """Explain one credit line."""
        line_no, product_id, own_category, quantity, amount, lines, _ = line
        category = self.category(header, product_id, own_category)
        customer_class = self._fact("customer", header.customer_id, header.ordered_on)
        fate = self.fate(header, line, category.value, customer_class.value)
        return ExplainedLine(
            kind={1: Kind.sale, 0: Kind.returned, -1: Kind.cancellation}[lines],
            line_no=line_no,
            salesperson_id=header.salesperson_id,
            salesperson_name=self.names.get(header.salesperson_id or ""),
            ordered_on=header.ordered_on,
            credited_on=header.credited_on,
            order_type=header.order_type,
            customer_id=header.customer_id,
            product_id=product_id,
            product_name=next(sold.product_name for sold in self.order.lines if sold.line_no == line_no),
            category=category,
            customer_class=customer_class,
            team=self._fact("salesperson", header.salesperson_id, header.credited_on),
            currency=header.currency,
            quantity=quantity,
            amount=amount,
            rules=fate.rules,
            share=fate.share,
            credited=amount * fate.share,
            credited_text=rounded_text(amount * fate.share, CREDITED_DECIMALS, header.currency),
            alternatives=fate.alternatives,
        )

    def fate(self, header: Header, line: CreditLine, category: str | None, customer_class: str | None) -> _Fate:
        """Find what the rules make of a line; once for all lines that no rule could tell apart."""
        _, product_id, own_category, *_ = line
        people = header.customer_id, customer_class, header.salesperson_id
        profile = Conditions(product_id, category, *people, header.order_type)
        key = profile, own_category
        if key not in self.fates:
            day = header.ordered_on
            deciding = decided(self.rules, profile, day)
            self.fates[key] = _Fate(
                tuple(self._explained_rule(found) for found in self.rules.candidates(profile, day)),
                (deciding.share or 0) if deciding else 0,
                alternatives(self.rulebook, self.rules, profile, day, own_category=own_category),
            )
        return self.fates[key]

    def category(self, header: Header, product_id: str, own_category: str | None) -> Told:
        """Give a line's category: a fact that covers the order's day goes before the line's own."""
        told = self._fact("product", product_id, header.ordered_on)
        if told.origin is Origin.fact or own_category is None:
            return told
        last = next(event for event in reversed(self.events) if _writes_lines(event))
        return Told(own_category, Origin.order, last.position, last.recorded_at, last.actor)

    def alternatives(self) -> tuple[Alternative, ...]:
        """Say what the order would bring if it were not cancelled or voided, where it is and would bring something."""
        if self.order.cancelled is None:
            return ()
        left = list(self.explained_lines(msgspec.structs.replace(self.order, cancelled=None)))
        if not any(line.share for line in left):
            return ()
        circumstance = Circumstance.not_voided if self.order.cancelled.void else Circumstance.not_cancelled
        return (Alternative(circumstance, credited=sum(line.credited for line in left)),)

    def _fact(self, owner: str, owner_id: str | None, day: date) -> Told:
        events = self.facts.get(facts.subject(owner, owner_id), []) if owner_id is not None else []
        return _told(events, _FACTS[owner], day)

    def _explained_rule(self, candidate: Candidate) -> ExplainedRule:
        version = candidate.version
        change = self.rulebook.changes[version.rule_change_id]
        approval = change.approval
        assert approval is not None, "a version comes with the approval of its rule change"
        return ExplainedRule(
            conditions=version.conditions,
            share=version.share,
            effective_from=version.effective_from,
            effective_to=version.effective_to,
            position=version.position,
            standing=candidate.standing,
            rule_change_id=version.rule_change_id,
            proposer=change.proposer,
            proposed_at=change.proposed_at,
            proposed_position=change.proposed_position,
            approver=approval.actor,
            approved_at=approval.recorded_at,
            four_eyes=approval.four_eyes,
            reason=change.reason,
            reason_code=change.reason_code,
        )


_FACTS: Mapping[str, type[DatedFact]] = {
    "customer": CustomerClassified,
    "product": ProductCategorised,
    "salesperson": SalespersonTeamed,
}


def _read(store: Store, order_id: str, position: int) -> _Known:
    events = _until(position, store.stream(orders.subject(order_id)))
    order = orders.fold(events)
    if order is None:
        raise no_such_order(order_id, position)
    subjects = [
        facts.subject("customer", order.customer_id),
        *(facts.subject("product", line.product_id) for line in order.lines),
        *(facts.subject("salesperson", person) for person in _people(order)),
    ]
    told = {subject: _until(position, known) for subject, known in store.streams(subjects).items()}
    rulebook = store.rulebook_at(position)
    return _Known(position, order, events, rulebook, rulebook.rules(), told, _salesperson_names(events))


def no_such_order(order_id: str, position: int) -> Refusal:
    """Make the refusal to explain an order that is not there, or not for whoever asks."""
    return Refusal.of(
        Code.order_not_found,
        say(
            "there is no order {order_id} at position {position}: correct the id, or ask at a later position",
            order_id=shown(order_id),
            position=position,
        ),
        "/order_id",
        position=position,
    )


def _people(order: Order) -> set[str]:
    return {split.salesperson_id for assignment in order.assignments for split in assignment.splits}


def _left(events: Iterable[Recorded]) -> dict[str, int]:
    left, people = dict[str, int](), set[str]()
    order: Order | None = None
    for event in events:
        assert isinstance(event.data, OrderEvent), "an order's stream holds order events only"
        order = orders.evolve(order, event.data)
        left |= dict.fromkeys(people - _people(order), event.position)
        people = _people(order)
    return {person: position for person, position in left.items() if person not in people}


def _until(position: int, events: Iterable[Recorded]) -> list[Recorded]:
    return [event for event in events if event.position <= position]


def _writes_lines(event: Recorded) -> bool:
    return isinstance(event.data, OrderPlaced | OrderAmended) and event.data.lines is not None


def _life_event(event: Recorded) -> LifeEvent:
    return LifeEvent(event.position, NAMES[type(event.data)], event.recorded_at, event.effective_on, event.actor)


def _told(events: Iterable[Recorded], kind: type[DatedFact], day: date) -> Told:
    """Give what the facts say of a day: the latest recorded that covers it, as facts.fact_pieces lays them."""
    for event in reversed(list(events)):
        fact = event.data
        if isinstance(fact, kind):
            covered = facts.fact_piece(fact)
            if covered.start <= day < covered.end:
                said = event.position, event.recorded_at, event.actor
                return Told(
                    covered.value, Origin.fact, *said, fact.effective_from, fact.effective_to, reason=fact.reason
                )
    return Told(None, Origin.nobody)


def _salesperson_names(events: Iterable[Recorded]) -> dict[str, str]:
    """Give the names that the order's events give salespeople, the latest of each."""
    return {
        split.salesperson_id: split.salesperson_name
        for event in events
        if isinstance(event.data, OrderPlaced | OrderReassigned)
        for split in event.data.splits
        if split.salesperson_name is not None
    }


def _digest(lines: Iterable[ExplainedLine]) -> str:
    """Hash what is credited: equal digests are equal lines, amounts, shares and deciding versions."""
    text = "\n".join(
        f"{line.line_no}\t{line.credited_on}\t{'' if line.salesperson_id is None else '=' + line.salesperson_id}"
        f"\t{line.amount}\t{line.share}\t{line.decider.position if line.decider else ''}"
        for line in lines
    )
    return hashlib.sha256(text.encode()).hexdigest()

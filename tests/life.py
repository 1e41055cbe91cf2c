"""Whole lives of ledgers, made from a seed: every kind of event, mixed at random, and what must hold of them.

A life sends the ledger random commands, also such as it refuses: orders placed, amended, returned, reassigned,
reclassified and cancelled; rule changes proposed, then approved, rejected, withdrawn or left waiting; facts and quotas;
periods closed, restated and carried forward. A refusal must leave no trace. On the way and at the end the design's
invariants are checked: 3 (figures known at a position stay), 4 (one result), 5 (order of arrival), 6 (movements add
up, an impact is the movement that follows), 9 (no churn), 10 (four eyes), 11 (statements stay, drifts add up).

tests/test_histories.py lives some thousands; `make soak` lives new ones, and one again by its seed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from ledger import intake, orders, statements
from ledger.events import (
    Alteration,
    Conditions,
    CustomerClassified,
    DefineOrderType,
    EndRule,
    LedgerOpened,
    Line,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReassigned,
    OrderReclassified,
    OrderReturned,
    ProductCategorised,
    RenameOrderType,
    RetireOrderType,
    ReturnedLine,
    RuleChangeProposed,
    RuleChangeRejected,
    RuleChangeWithdrawn,
    SalespersonQuotaSet,
    SalespersonTeamed,
    SetRule,
    Split,
)
from ledger.facts import record_fact, record_quota
from ledger.money import MICROS_MAX, SHARE_ONE, credited_of, micros_text, share_text
from ledger.orders import Order
from ledger.periods import Period, parse_period
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules, dismiss
from ledger.settings import open_ledger
from ledger.store import Store
from projections import changes, closing, profiles, resolution
from projections.closing import CarryForward
from projections.impact import Impact, ImpactMoved, approve, propose
from projections.movement import movement
from projections.performance import performance
from projections.projector import Projector
from projections.simulation import Assumption, simulate
from tests.oracle import world
from tests.strategies import (
    CATEGORIES,
    CLASSES,
    CURRENCIES,
    CUSTOMERS,
    ORDERS,
    PRODUCTS,
    SALESPEOPLE,
    TEAMS,
    TYPES,
    submission,
)

ALL_TIME = Period("all", date(2025, 1, 1), date(2029, 1, 1))
QUARTERS = ("2025-Q4", "2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4", "2027-Q1")
FIRST_DAY, DAYS = date(2025, 12, 1), 390
_VALUES = (PRODUCTS, CATEGORIES, CUSTOMERS, CLASSES, SALESPEOPLE, TYPES)
_AMOUNTS = ("0", "0.000001", "-0.000001", "9223372036854.775807", "12.5", "-7", "0.333333")
_SHARES = ("0", "0.5", "1", "0.3333", "1.5", "9.9999")
T = TypeVar("T")
Sums = Counter[tuple[Any, ...]]


class Life:
    """One ledger's life: its random choices, its clock, and what was seen on the way."""

    def __init__(self, store: Store, seed: int, *, retires: bool = True) -> None:
        self.random = Random(seed)  # noqa: S311 - seeded, to be the same again
        self.store = store
        self.projector = Projector(store.database)
        self.orders = dict[str, Order]()
        self.sent = list[intake.OrderSubmission]()
        self.steps = 0
        self.seen = list[tuple[int, list[str]]]()
        self.issued = list[tuple[str, statements.Issued]]()
        self.retires = retires
        self.now = datetime(2026, 4, 10, 12, tzinfo=UTC)
        store.clock = store.sequencer._clock = lambda: self.now
        self.four_eyes = self.random.random() < 0.7
        open_ledger(store, LedgerOpened("life", four_eyes=self.four_eyes), actor="admin")
        opening = tuple(DefineOrderType(name, share) for name, share in zip(TYPES, ("1", "0.5", "0"), strict=True))
        self._change_rules(opening, certainly=True)

    def live(self, steps: int) -> None:
        """Take so many steps."""
        actions: tuple[tuple[int, Callable[[], None]], ...] = (
            (12, self._order),
            (3, self._rule_change),
            (3, self._fact),
            (1, self._quota),
            (2, self._close),
            (2, self._restate),
            (2, self._carry_forward),
            (1, self._look),
            (2, self._simulate),
        )
        weights, choices = zip(*actions, strict=True)
        for action in self.random.choices(choices, weights, k=steps):
            self.now += timedelta(days=self.random.randrange(20), minutes=self.random.randrange(600))
            self.steps += 1
            action()

    # ---- steps

    def _try(self, command: Callable[[], T]) -> T | None:
        """Give a command; a refusal leaves no trace."""
        head = self.store.head()
        try:
            return command()
        except Refusal:
            assert self.store.head() == head, "a refusal leaves no trace"
            return None

    def _pick(self, values: tuple[str, ...]) -> str:
        return self.random.choice(values)

    def _day(self) -> date:
        """Choose a day; where periods are closed, often one of them: a late order, a change for the past."""
        closed = tuple(self.store.closings(self.store.head()).statements)
        if closed and self.random.random() < 0.5:
            period = parse_period(self._pick(closed))
            return period.start + timedelta(self.random.randrange((period.end - period.start).days))
        return FIRST_DAY + timedelta(self.random.randrange(DAYS))

    def _amount(self) -> str:
        if self.random.random() < 0.1:
            return self._pick(_AMOUNTS)
        if self.random.random() < 0.1:
            return micros_text(self.random.randint(-MICROS_MAX, MICROS_MAX))
        cents = self.random.randint(-100_000, 10_000_000)
        return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"

    def _order(self) -> None:
        order_id = self._pick(ORDERS)
        known = self.orders.get(order_id)
        event = self._placed() if known is None else self._correction(known)
        sent = submission(order_id, event, f"e{self.steps}", "erp")
        if self._try(lambda: intake.record(self.store, sent, actor="erp")) is not None:
            self.orders[order_id] = orders.evolve(known, event)
            self.sent.append(sent)

    def _placed(self) -> OrderPlaced:
        return OrderPlaced(
            ordered_on=self._day(),
            order_type=self._pick((*TYPES, "later")),
            customer_id=self._pick(CUSTOMERS),
            currency=self._pick(CURRENCIES),
            lines=self._lines(),
            splits=self._splits(),
        )

    def _lines(self) -> tuple[Line, ...]:
        return tuple(
            Line(
                line_no=number,
                product_id=self._pick(PRODUCTS),
                quantity=str(self.random.randint(-2, 20)),
                amount=self._amount(),
                category=self.random.choice((None, *CATEGORIES)),
            )
            for number in range(1, self.random.randint(2, 5))
        )

    def _splits(self) -> tuple[Split, ...]:
        people = self.random.sample(SALESPEOPLE, self.random.choice((0, 1, 1, 1, 2, 3)))
        if not people:
            return ()
        cuts = sorted(self.random.sample(range(1, SHARE_ONE), len(people) - 1))
        shares = [end - start for start, end in zip([0, *cuts], [*cuts, SHARE_ONE], strict=True)]
        return tuple(Split(person, share_text(share)) for person, share in zip(people, shares, strict=True))

    def _correction(self, order: Order) -> OrderEvent:
        later = order.ordered_on + timedelta(self.random.randrange(150))
        match self.random.randrange(11):
            case 0:
                changed = {"product_id": self._pick(PRODUCTS), "category": self._pick(CATEGORIES)}
                return OrderAmended(lines=tuple(replace(line, **changed) for line in order.lines))
            case 1 | 2:
                return OrderAmended(
                    lines=self.random.choice((None, self._lines())),
                    ordered_on=self.random.choice((None, self._day())),
                    customer_id=self.random.choice((None, self._pick(CUSTOMERS))),
                )
            case 3 | 4 | 5:
                left = orders.left_of_lines(order)
                number = self.random.choice(sorted(left))
                parts = (micros_text(whole // self.random.choice((1, 2, 3))) for whole in left[number])
                return OrderReturned(later, (ReturnedLine(number, *parts),))
            case 6 | 7 | 8:
                return OrderReassigned(later, self._splits())
            case 9:
                return OrderReclassified(self._pick((*TYPES, "later")))
            case _:
                return OrderCancelled(later, self.random.random() < 0.5)

    def _conditions(self) -> Conditions:
        chosen = self.random.sample(range(6), self.random.choice((1, 1, 1, 2, 3)))
        names = Conditions.__struct_fields__
        return Conditions(**{names[at]: self._pick(_VALUES[at]) for at in chosen})

    def _alteration(self) -> Alteration:
        start = self._day()
        end = self.random.choice((None, start + timedelta(self.random.randrange(1, 200))))
        match self.random.randrange(12):
            case 0:
                return DefineOrderType("later", self._pick(_SHARES))
            case 1:
                return RenameOrderType(self._pick(TYPES), self._pick(("Standard", "标准")))
            case 2 if self.retires:
                return RetireOrderType(self._pick(TYPES), start)
            case 3 | 4:
                known = [*self.store.rulebook().rules().versions]
                return EndRule(self.random.choice(known), start, end)
            case _:
                return SetRule(self._conditions(), self._pick(_SHARES), start, end)

    def _rule_change(self) -> None:
        self._change_rules(tuple(self._alteration() for _ in range(self.random.choice((1, 1, 2)))))

    def _change_rules(self, alterations: tuple[Alteration, ...], *, certainly: bool = False) -> None:
        """Propose; then approve, reject, withdraw or let it wait; sometimes an order comes in between."""
        name = f"rc-{self.steps}"
        proposal = RuleChangeProposed(name, alterations, "as agreed")
        self.projector.catch_up()
        proposed = self._try(lambda: propose(self.store, proposal, actor="asker"))
        if proposed is None:
            return
        what = "approve" if certainly else self.random.choice(("approve",) * 6 + ("reject", "withdraw", "wait"))
        if what == "approve":
            self._check_four_eyes(name)
            if not certainly and self.random.random() < 0.3:
                self._order()
            self._approve(name)
        elif what == "reject":
            assert self._try(lambda: dismiss(self.store, RuleChangeRejected(name, "no"), actor="other")) is not None
        elif what == "withdraw":
            assert self._try(lambda: dismiss(self.store, RuleChangeWithdrawn(name), actor="other")) is None
            assert self._try(lambda: dismiss(self.store, RuleChangeWithdrawn(name), actor="asker")) is not None

    def _check_four_eyes(self, name: str) -> None:
        """Invariant 10: whoever proposes can't approve."""
        if self.four_eyes:
            head = self.projector.catch_up()
            with pytest.raises(Refusal) as refused:
                approve(self.store, name, actor="asker")
            assert (refused.value.code, self.store.head()) == (Code.own_proposal, head)

    def _approve(self, name: str) -> None:
        """Approve the impact as it is; it is the movement that follows (invariant 6)."""
        before = self.projector.catch_up()
        try:
            approved = approve(self.store, name, actor="other")
        except ImpactMoved as moved:
            assert self.store.head() == before
            approved = approve(self.store, name, actor="other", accepted_digest=moved.impact.digest)
        after = self.projector.catch_up()
        assert after == approved.changed.position == before + 1
        found = movement(self.store, ALL_TIME, from_position=before, to_position=after)
        followed = Sums()
        for line in found.lines:
            followed[line.salesperson.value, line.currency] += line.credited
        assert nonzero(followed) == impact_sums(approved.impact)

    def _fact(self) -> None:
        start = self._day()
        end = self.random.choice((None, start + timedelta(self.random.randrange(1, 200))))
        owner, kind, values = self.random.choice(
            (
                (CUSTOMERS, CustomerClassified, CLASSES),
                (CUSTOMERS, CustomerClassified, CLASSES),
                (PRODUCTS, ProductCategorised, CATEGORIES),
                (SALESPEOPLE, SalespersonTeamed, TEAMS),
            )
        )
        fact = kind(self.random.choice((None, *values)), start, end)
        self._try(lambda: record_fact(self.store, self._pick(owner), fact, actor="desk"))

    def _quota(self) -> None:
        fact = SalespersonQuotaSet(
            self._pick(QUARTERS), self._pick(CURRENCIES), self.random.choice((None, "100", "7.5"))
        )
        period = parse_period(fact.period)
        self._try(lambda: record_quota(self.store, self._pick(SALESPEOPLE), period, fact, actor="desk"))

    def _close(self) -> None:
        self.projector.catch_up()
        last = self.store.closings().last_closed
        name = self._pick(QUARTERS[:2]) if last is None else self.store.calendar().next_period(parse_period(last)).name
        if self._try(lambda: closing.close(self.store, name, "as planned", actor="finance")) is not None:
            self._issue(name)

    def _restate(self) -> None:
        self.projector.catch_up()
        name = self._closed()
        if self._try(lambda: closing.restate(self.store, name, "late orders", actor="finance")) is not None:
            self._issue(name)
            assert not closing.period_state(self.store, name, position=self.projector.catch_up()).drift

    def _carry_forward(self) -> None:
        self.projector.catch_up()
        last = self.store.closings().last_closed
        following = self.store.calendar().next_period(parse_period(last)).name if last else QUARTERS[1]
        into = following if self.random.random() < 0.8 else self._pick(QUARTERS)
        asked = CarryForward(self._closed(), into, "late orders")
        if self._try(lambda: closing.carry_forward(self.store, asked, actor="finance")) is not None:
            head = self.projector.catch_up()
            assert not closing.period_state(self.store, asked.period, position=head).drift

    def _closed(self) -> str:
        """Choose a period that is closed, mostly."""
        closed = tuple(self.store.closings().statements)
        return self._pick(QUARTERS if not closed or self.random.random() < 0.1 else closed)

    def _issue(self, name: str) -> None:
        self.issued.append((name, self.store.closings().statements[name][-1]))

    def _simulate(self) -> None:
        """Ask what if; it changes nothing, neither in the ledger nor in what is answered afterwards."""
        position = self.projector.catch_up()
        before, head = self._digests(position), self.store.head()
        made = [change.rule_change_id for change in self.store.rulebook().changes.values() if change.approval]
        without = (self.random.choice(made),) if self.random.random() < 0.5 else ()
        assumption = Assumption(() if without else (self._alteration(),), without)
        self._try(lambda: simulate(self.store, [ALL_TIME], assumption, position=position))
        assert (self._digests(position), self.store.head()) == (before, head)

    def _look(self) -> None:
        """Remember what is known now."""
        position = self.projector.catch_up()
        self.seen.append((position, self._digests(position)))

    def _digests(self, position: int) -> list[str]:
        return [
            performance(self.store, ALL_TIME, position=position).view.digest,
            performance(
                self.store, parse_period("2026-Q2"), group_by=("customer", "team"), position=position
            ).view.digest,
        ]

    # ---- what must hold

    def check(self) -> None:
        """Check the whole life."""
        head = self.projector.catch_up()
        for position, digests in self.seen:
            assert self._digests(position) == digests, "invariant 3: a figure known at a position never changes"
        self._check_figures(head)
        self._check_movements(head)
        self._check_statements(head)
        self._check_churn()

    def _check_figures(self, head: int) -> None:
        """Invariant 4: the figures are those of another way of computing them."""
        known = world(self.store, head).figures(ALL_TIME.start, ALL_TIME.end, ("salesperson",))
        figures = performance(self.store, ALL_TIME, position=head).figures
        assert {(figure.keys[0].value, figure.currency): (figure.gross, figure.credited) for figure in figures} == {
            key: row[:2] for key, row in known.items()
        }

    def _check_movements(self, head: int) -> None:
        """Invariant 6: between any two positions the causes add up, adjustments included."""
        first, last = sorted((self.random.randint(0, head), self.random.choice((head, self.random.randint(0, head)))))
        for period in (ALL_TIME, parse_period(self._pick(QUARTERS))):
            found = movement(self.store, period, from_position=first, to_position=last)
            moved = Sums()
            for line in found.lines:
                moved[line.salesperson.value, line.currency, "credited"] += line.credited
                moved[line.salesperson.value, line.currency, "gross"] += line.gross
                moved[line.salesperson.value, line.currency, "adjustments"] += line.adjustments
                moves = line.credited or line.gross or line.adjustments or line.quota or line.carried_out
                assert moves or line.teams, "invariant 9: no empty line"
            after = self._sums(period, last)
            after.subtract(self._sums(period, first))
            assert nonzero(moved) == nonzero(after)

    def _sums(self, period: Period, position: int) -> Sums:
        sums = Sums()
        for figure in performance(self.store, period, position=position).figures:
            sums[figure.keys[0].value, figure.currency, "credited"] += figure.credited
            sums[figure.keys[0].value, figure.currency, "gross"] += figure.gross
        booked = statements.booked_into(self.store.closings(position), period.start, period.end)
        for (person, currency), amount in booked.items():
            sums[person, currency, "adjustments"] += amount
        return sums

    def _check_statements(self, head: int) -> None:
        """Invariant 11: statements stay as issued, follow from their position, and with the drifts add up."""
        closings = self.store.closings()
        for name, issued in self.issued:
            assert issued in closings.statements[name], "closed is closed"
            at = issued.statement.position
            then = closing.period_state(self.store, name, position=at)
            carried = statements.carried_out(self.store.closings(at), name)
            own = Sums(self._credited(then.period, at))
            own.subtract(carried)
            figures = {
                (each.salesperson_id, each.currency): credited_of(each.credited) for each in issued.statement.figures
            }
            assert nonzero(own) == nonzero(Sums(figures))
        total, current = Sums(), Sums()
        for name in closings.statements:
            state = closing.period_state(self.store, name, position=head)
            current.update(self._credited(state.period, head))
            self._check_drift(state, head)
            for line in state.drift:
                total[line.salesperson_id, line.currency] += line.drift
            for each in state.statements[-1].statement.figures:
                total[each.salesperson_id, each.currency] += credited_of(each.credited)
        for carried_forward in closings.carried:
            for adjustment in carried_forward.event.adjustments:
                total[adjustment.salesperson_id, adjustment.currency] += credited_of(adjustment.credited)
        assert nonzero(total) == nonzero(current)

    def _check_drift(self, state: closing.PeriodState, head: int) -> None:
        """What moved since a statement, less what was carried out of the period, is its drift."""
        since = state.statements[-1].statement.position
        moved = Sums()
        for line in movement(self.store, state.period, from_position=since, to_position=head).lines:
            moved[line.salesperson.value, line.currency] += line.credited + line.carried_out
        assert nonzero(moved) == Sums({(line.salesperson_id, line.currency): line.drift for line in state.drift})

    def _credited(self, period: Period, position: int) -> Sums:
        figures = performance(self.store, period, position=position).figures
        return Sums({(figure.keys[0].value, figure.currency): figure.credited for figure in figures})

    def _check_churn(self) -> None:
        """Invariant 9: only order events bring credit lines, and none brings a line together with its reversal."""
        generation = "(SELECT 'projection_' || generation FROM projection WHERE serving)"
        with self.store.database.transaction() as cursor:
            cursor.execute(f"SELECT set_config('search_path', {generation} || ', public', true)")
            cursor.execute(
                "SELECT count(*) FROM credit_line JOIN event USING (position) WHERE NOT starts_with(type, 'order.')"
            )
            assert cursor.fetchone() == (0,)
            cursor.execute(
                "SELECT count(*) FROM credit_line a JOIN credit_line b USING (position, order_key, line_no,"
                " salesperson, ordered_on, credited_on, order_type, customer, currency, product, category)"
                " WHERE a.amount = -b.amount AND a.quantity = -b.quantity AND a.lines = -b.lines"
                " AND (a.lines, a.amount, a.quantity) > (0, 0, 0) AND a.lines <> 0 AND a.orders = -b.orders"
            )
            assert cursor.fetchone() == (0,)

    def rearranged(self, store: Store) -> None:
        """Invariant 5: the same order events in another order across orders, in other batches, after the same rules."""
        for record_again in self._not_of_orders():
            record_again(store)
        streams = dict[str, list[intake.OrderSubmission]]()
        for sent in self.sent:
            streams.setdefault(sent.order_id, []).append(sent)
        waiting = list(streams.values())
        shuffled = list[intake.OrderSubmission]()
        while waiting:
            stream = self.random.choice(waiting)
            shuffled.append(stream.pop(0))
            waiting = [each for each in waiting if each]
        while shuffled:
            size = self.random.randint(1, 6)
            intake.record_all(store, shuffled[:size], actor="erp")
            del shuffled[:size]
        Projector(store.database).catch_up()
        ours, theirs = (performance(each, ALL_TIME).view.digest for each in (self.store, store))
        assert ours == theirs

    def _not_of_orders(self) -> list[Callable[[Store], object]]:
        """Give what else was recorded, ready to be recorded elsewhere: approved rule changes, and facts."""
        changes = self.store.rulebook().changes.values()
        facts = self.store.recorded_between(0, self.store.head(), ["customer.classified", "product.categorised"])
        timed: list[tuple[int, Callable[[Store], object]]] = [
            (change.approval.position, _changes_again(change.rule_change_id, change.alterations))
            for change in changes
            if change.approval
        ]
        timed += [(fact.position, _records_again(fact.subject.partition("/")[2], fact.data)) for fact in facts]
        return [step for _, step in sorted(timed, key=lambda each: each[0])]


def live(new_store: Callable[[], Store], seed: int, *, steps: int) -> int:
    """Live one life and check it; every fifth one is recorded again in another order of arrival. Gives its steps."""
    rearranged = seed % 5 == 0
    life = Life(new_store(), seed, retires=not rearranged)
    try:
        with ways(seed):
            life.live(steps)
            life.check()
            if rearranged:
                life.rearranged(new_store())
    except BaseException as error:
        error.add_note(f"live it again with: python -m tests.soak --seed {seed} --lives 1 --length {steps}")
        raise
    return life.steps


@contextmanager
def ways(seed: int) -> Iterator[None]:
    """Take the ways that large rulebooks take: of three lives, one lists profiles, one finds them, one joins them."""
    with pytest.MonkeyPatch.context() as patch:
        if seed % 3:
            patch.setattr(resolution, "PROFILES_LISTED_MAX", 0)
            patch.setattr(changes, "COMBINATIONS_MAX", 0)
        if seed % 3 == 2:
            patch.setattr(profiles, "CASES_MAX", 0)
        yield


def _changes_again(name: str, alterations: tuple[Alteration, ...]) -> Callable[[Store], object]:
    return lambda store: change_rules(store, RuleChangeProposed(name, alterations, "again"), actor="again")


def _records_again(owner_id: str, fact: Any) -> Callable[[Store], object]:
    return lambda store: record_fact(store, owner_id, fact, actor="again")


def nonzero(sums: Sums) -> Sums:
    """Leave out what is 0."""
    return Sums({key: value for key, value in sums.items() if value})


def impact_sums(impact: Impact) -> Sums:
    """Sum an impact over its periods."""
    sums = Sums()
    for line in impact.lines:
        sums[line.salesperson.value, line.currency] += line.change
    return nonzero(sums)

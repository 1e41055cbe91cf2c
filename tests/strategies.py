"""Hypothesis strategies of what the ledger takes: values, orders, rules, and whole random histories that are valid.

A history is a list of steps in the order in which they are recorded:

    OrderStep   an order event as a client submits it       -> ledger.intake.record
    RuleStep    a rule change, proposed and approved at once -> ledger.rule_changes.change_rules
    FactStep    a customer's class, a product's category or a salesperson's team for some days -> ledger.facts
    QuotaStep   a salesperson's quota for a period           -> ledger.facts.record_quota

`histories()` draws one: each step is judged by the ledger's own `decide` against a `Model`, and left out where it is
refused, so that `play(store, history)` records every step of what remains. The first step always defines the order
types of OPENING. `interleavings(history)` draws the same steps in another valid order (each order, each owner of
facts and the rulebook keep their own sequence); `batches(history)` cuts one for `play_batches`. Values come from small
pools, so that orders, rules and facts meet each other; some names hold quotes, percent signs and Chinese on purpose.

    @given(histories())
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_something(new_database, history):
        store = Store(new_database())
        play(store, history)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from typing import Any, assert_never

from hypothesis import strategies as st
from msgspec import structs

from ledger import facts, intake, orders, rule_changes, rulebook
from ledger.events import (
    Alteration,
    Conditions,
    CustomerClassified,
    DatedFact,
    DefineOrderType,
    EndRule,
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
    SalespersonQuotaSet,
    SalespersonTeamed,
    SetRule,
    Split,
)
from ledger.money import MICROS_MAX, SHARE_MAX, SHARE_ONE, micros_text, share_text
from ledger.orders import Order
from ledger.periods import parse_period
from ledger.refusal import Code, Refusal
from ledger.rulebook import Rulebook
from ledger.store import Store
from ledger.timeline import Piece, overlay, piece

ORDERS = ("O-1", "O-2", "O-3", "订单-4", "O '5' %s")
CUSTOMERS = ("C-1", "C-2", 'C "3"', "客户-4")
SALESPEOPLE = ("S-1", "S-2", "S-3", "王伟", "S,5")
PRODUCTS = ("P-1", "P-2", "P-3", "P\\4")
CATEGORIES = ("K-1", "K-2", "服务")
CLASSES = ("house-account", "key-account")
TEAMS = ("North", "南")
CURRENCIES = ("EUR", "USD", "JPY", "KWD")
TYPES = ("standard", "special", "sample")
LATER_TYPES = ("repeat", "新客户")
"""Order types that are not defined from the beginning; a history may define them."""
DAY_MIN, DAY_MAX = date(2025, 12, 1), date(2026, 12, 31)

OPENING = RuleChangeProposed(
    rule_change_id="opening",
    alterations=tuple(DefineOrderType(name, share) for name, share in zip(TYPES, ("1", "0.5", "0"), strict=True)),
    reason="the order types we start with",
)
_POOLS: dict[str, tuple[str, ...]] = {
    "product_id": PRODUCTS,
    "category": CATEGORIES,
    "customer_id": CUSTOMERS,
    "customer_class": CLASSES,
    "salesperson_id": SALESPEOPLE,
    "order_type": TYPES,
}
_EXTREMES = (
    *("0", "0.00", "-0", "0.000001", "-0.000001", "9223372036854.775807", "-9223372036854.775807", "12.5", "-7"),
    *("922337203.685477", "922337203.685478", "-922337204"),  # where an amount times a whole share leaves 63 bits
)
_NAMES = st.none() | st.sampled_from(("Ltd & Co", "有限公司", "O'Brien"))


# ---- values


def identifiers() -> st.SearchStrategy[str]:
    """Any identifier the ledger takes: 1 to 120 printable characters, no space at either end."""
    allowed = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
    return st.text(allowed, min_size=1, max_size=120).filter(str.isprintable)


def amounts() -> st.SearchStrategy[str]:
    """Decimal strings: mostly cents, written with two decimals; also any micros, zeros and the extremes, any sign."""
    cents = st.integers(-(10**6), 10**8).map(lambda n: f"{'-' if n < 0 else ''}{abs(n) // 100}.{abs(n) % 100:02d}")
    return st.one_of(cents, cents, st.integers(-MICROS_MAX, MICROS_MAX).map(micros_text), st.sampled_from(_EXTREMES))


def quantities() -> st.SearchStrategy[str]:
    """Decimal strings: mostly small whole numbers; negative and zero too, and the extremes."""
    whole = st.integers(-3, 40).map(str)
    return st.one_of(whole, whole, whole, st.sampled_from(_EXTREMES))


def rule_shares() -> st.SearchStrategy[str]:
    """Shares at which a rule lets orders count: 0 to 9.9999."""
    return st.sampled_from(("0", "0.5", "1", "0.3333", "1.5", "9.9999")) | st.integers(0, SHARE_MAX).map(share_text)


@st.composite
def split_shares(draw: st.DrawFn, people: int) -> list[int]:
    """Uneven shares in ten-thousandths, each above 0, that sum to SHARE_ONE."""
    cuts = sorted(draw(st.sets(st.integers(1, SHARE_ONE - 1), min_size=people - 1, max_size=people - 1)))
    return [end - start for start, end in zip([0, *cuts], [*cuts, SHARE_ONE], strict=True)]


@st.composite
def splits(draw: st.DrawFn) -> tuple[Split, ...]:
    """A valid split: 1 to 5 different salespeople whose shares sum to 1; or nobody, now and then."""
    people = draw(st.lists(st.sampled_from(SALESPEOPLE), unique=True, max_size=5))
    shares = draw(split_shares(len(people))) if people else []
    return tuple(Split(person, share_text(share), draw(_NAMES)) for person, share in zip(people, shares, strict=True))


def days() -> st.SearchStrategy[date]:
    """Business days of the pools' thirteen months, often at the turn of a month or quarter."""
    turns = st.sampled_from([date(2026, month, 1) - timedelta(days) for month in (1, 2, 4, 7, 12) for days in (0, 1)])
    return turns | st.dates(DAY_MIN, DAY_MAX)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[date, date | None]:
    """A half-open range [from, to) that is not empty; to is None of an open one."""
    start, length = draw(days()), draw(st.none() | st.integers(1, 200))
    return start, None if length is None else start + timedelta(length)


# ---- orders


@st.composite
def order_lines(draw: st.DrawFn) -> tuple[Line, ...]:
    """1 to 6 lines, numbered apart but not always in order; a category is sometimes missing."""
    line = st.builds(
        Line,
        line_no=st.integers(1, 9),
        product_id=st.sampled_from(PRODUCTS),
        quantity=quantities(),
        amount=amounts(),
        category=st.none() | st.sampled_from(CATEGORIES),
        product_name=_NAMES,
    )
    return tuple(draw(st.lists(line, min_size=1, max_size=6, unique_by=lambda line: line.line_no)))


def placed_orders(order_types: Sequence[str] = TYPES) -> st.SearchStrategy[OrderPlaced]:
    """An order as it is placed, of one of these types."""
    return st.builds(
        OrderPlaced,
        ordered_on=days(),
        order_type=st.sampled_from(order_types),
        customer_id=st.sampled_from(CUSTOMERS),
        currency=st.sampled_from(CURRENCIES),
        lines=order_lines(),
        splits=splits(),
        customer_name=_NAMES,
    )


@st.composite
def amendments(draw: st.DrawFn, order: Order) -> OrderAmended:
    """A correction of any of lines and header; lines of which something came back keep their figures."""
    back = {line.line_no for returned in order.returns for line in returned.lines}
    kept = tuple(line for line in order.lines if line.line_no in back)
    fresh = draw(st.none() | order_lines())
    lines = fresh and (*kept, *(line for line in fresh if line.line_no not in back))
    header = {
        "ordered_on": days(),
        "customer_id": st.sampled_from(CUSTOMERS),
        "customer_name": _NAMES,
        "currency": st.sampled_from(CURRENCIES),
    }
    return structs.replace(OrderAmended(lines=lines), **draw(st.fixed_dictionaries({}, optional=header)))


@st.composite
def returns(draw: st.DrawFn, order: Order) -> OrderReturned:
    """Some or all of what is left of some lines comes back, on the order's day or later."""
    left = orders.left_of_lines(order)
    chosen = draw(st.lists(st.sampled_from(sorted(left)), unique=True, min_size=1, max_size=3))
    lines = [ReturnedLine(number, *(micros_text(draw(_parts(whole))) for whole in left[number])) for number in chosen]
    return OrderReturned(_later(draw, order), tuple(lines))


def _parts(whole: int) -> st.SearchStrategy[int]:
    return st.sampled_from((whole, whole // 2, 0)) | st.integers(min(0, whole), max(0, whole))


def _later(draw: st.DrawFn, order: Order) -> date:
    return order.ordered_on + timedelta(draw(st.integers(0, 200)))


# ---- rules and facts


@st.composite
def conditions(draw: st.DrawFn) -> Conditions:
    """What a rule names: any of the 63 sets of the six attributes, with values of the pools."""
    chosen = draw(st.integers(1, 63))
    named = [attribute for bit, attribute in enumerate(_POOLS) if chosen >> bit & 1]
    return Conditions(**{attribute: draw(st.sampled_from(_POOLS[attribute])) for attribute in named})


def profiles() -> st.SearchStrategy[Conditions]:
    """A credit line's values: product, customer and order type always, the others where there is one."""
    always = ("product_id", "customer_id", "order_type")
    values = {name: st.sampled_from(pool) for name, pool in _POOLS.items()}
    return st.builds(
        Conditions, **{name: drawn if name in always else st.none() | drawn for name, drawn in values.items()}
    )


@st.composite
def alterations(draw: st.DrawFn, book: Rulebook) -> Alteration:
    """One of the five alterations; most set a rule."""
    start, end = draw(ranges())
    endable = [*book.rules().versions]
    match draw(st.sampled_from(("set", "set", "set", "set", "end", "end", "define", "rename", "retire"))):
        case "end" if endable:
            return EndRule(draw(st.sampled_from(endable)), start, end)
        case "define":
            return DefineOrderType(draw(st.sampled_from(LATER_TYPES)), draw(rule_shares()), draw(_NAMES))
        case "rename":
            return RenameOrderType(draw(_type_of(book)), draw(st.sampled_from(("Standard", "标准", "Sample"))))
        case "retire":
            return RetireOrderType(draw(_type_of(book)), start)
    return SetRule(draw(conditions()), draw(rule_shares()), start, end)


def _type_of(book: Rulebook) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(book.order_types) or list(TYPES))


_FACTS: dict[type[DatedFact], tuple[tuple[str, ...], tuple[str, ...]]] = {
    CustomerClassified: (CUSTOMERS, CLASSES),
    ProductCategorised: (PRODUCTS, CATEGORIES),
    SalespersonTeamed: (SALESPEOPLE, TEAMS),
}


@st.composite
def dated_facts(draw: st.DrawFn, kind: type[DatedFact]) -> DatedFact:
    """A value, or none, on some days."""
    return kind(draw(st.none() | st.sampled_from(_FACTS[kind][1])), *draw(ranges()))


# ---- histories


@dataclass(frozen=True)
class OrderStep:
    """An order event as it is submitted."""

    submission: intake.OrderSubmission


@dataclass(frozen=True)
class RuleStep:
    """A rule change, proposed and approved at once."""

    proposal: RuleChangeProposed


@dataclass(frozen=True)
class FactStep:
    """What a customer, a product or a salesperson belongs to for some days."""

    owner_id: str
    fact: DatedFact


@dataclass(frozen=True)
class QuotaStep:
    """A salesperson's quota for a quarter."""

    salesperson_id: str
    fact: SalespersonQuotaSet


Step = OrderStep | RuleStep | FactStep | QuotaStep
History = list[Step]


@dataclass
class Model:
    """What a history has made so far, by the ledger's own decide: orders with their versions, rulebook, facts."""

    book: Rulebook = rulebook.EMPTY
    orders: dict[str, Order] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    facts: dict[tuple[type[DatedFact], str], list[Piece[str | None]]] = field(default_factory=dict)
    quotas: dict[tuple[str, str, str], str | None] = field(default_factory=dict)

    def apply(self, step: Step) -> None:
        """Take a step; Refusal where the ledger would refuse it."""
        match step:
            case OrderStep(sent):
                known = self.orders.get(sent.order_id)
                self.orders[sent.order_id] = orders.decide(sent.order_id, known, sent.data, self.book.order_types)
                self.versions[sent.order_id] = self.versions.get(sent.order_id, 0) + 1
            case RuleStep(proposal):
                self.book = rulebook.decide(self.book, proposal)
            case FactStep(owner_id, fact):
                nothing: Piece[str | None] = piece(None, None, None)
                at_first = [] if isinstance(fact, ProductCategorised) else [nothing]
                known_pieces = self.facts.get((type(fact), owner_id), at_first)
                laid = overlay([*known_pieces, facts.fact_piece(fact)])
                if laid == known_pieces:
                    raise Refusal.of(Code.nothing_changed, "known already")
                self.facts[type(fact), owner_id] = laid
            case QuotaStep(salesperson_id, quota):
                key = (salesperson_id, quota.period, quota.currency)
                if self.quotas.get(key) == quota.amount:
                    raise Refusal.of(Code.nothing_changed, "known already")
                self.quotas[key] = quota.amount
            case _:
                assert_never(step)


@st.composite
def histories(draw: st.DrawFn, max_steps: int = 25) -> History:
    """A valid history of 1 to `max_steps` + 1 steps, the first of which defines the order types of OPENING."""
    opening = RuleStep(OPENING)
    model, history = Model(), list[Step]([opening])
    model.apply(opening)
    for number in range(draw(st.integers(0, max_steps))):
        kind = draw(st.sampled_from(_STEPS))
        step = kind(draw, model, number)
        try:
            model.apply(step)
        except Refusal:
            continue
        history.append(step)
    return history


def _order_step(draw: st.DrawFn, model: Model, number: int) -> Step:
    order_id = draw(st.sampled_from(ORDERS))
    source, version = draw(st.sampled_from(("erp", "shop"))), model.versions.get(order_id, 0)
    event = _order_event(draw, model, model.orders.get(order_id))
    return OrderStep(submission(order_id, event, f"e{number}", source, draw(st.none() | st.just(version))))


def _order_event(draw: st.DrawFn, model: Model, order: Order | None) -> OrderEvent:
    if order is None:
        return draw(placed_orders(sorted(model.book.order_types)))
    match draw(st.sampled_from(_CORRECTIONS)):
        case "returned":
            return draw(returns(order))
        case "amended":
            return draw(amendments(order))
        case "reassigned":
            return OrderReassigned(_later(draw, order), draw(splits()))
        case "reclassified":
            return OrderReclassified(draw(st.sampled_from(sorted(model.book.order_types))))
    return OrderCancelled(_later(draw, order), draw(st.booleans()))


_CORRECTIONS = (*("amended", "returned", "reassigned") * 3, "reclassified", "reclassified", "cancelled")


def _rule_step(draw: st.DrawFn, model: Model, number: int) -> Step:
    changes = draw(st.lists(alterations(model.book), min_size=1, max_size=3))
    code = draw(st.sampled_from((None, "policy", "correction")))
    return RuleStep(RuleChangeProposed(f"rc-{number}", tuple(changes), "as agreed", code))


def _fact_step(draw: st.DrawFn, _model: Model, _number: int) -> Step:
    kinds: tuple[type[DatedFact], ...] = (CustomerClassified, CustomerClassified, ProductCategorised, SalespersonTeamed)
    kind = draw(st.sampled_from(kinds))
    return FactStep(draw(st.sampled_from(_FACTS[kind][0])), draw(dated_facts(kind)))


def _quota_step(draw: st.DrawFn, _model: Model, _number: int) -> Step:
    period = f"2026-Q{draw(st.integers(1, 4))}"
    amount = draw(st.sampled_from((None, "1000", "2500.5")))
    fact = SalespersonQuotaSet(period, draw(st.sampled_from(CURRENCIES)), amount)
    return QuotaStep(draw(st.sampled_from(SALESPEOPLE)), fact)


_STEPS = (*(_order_step,) * 8, *(_rule_step,) * 2, *(_fact_step,) * 2, _quota_step)


@st.composite
def interleavings(draw: st.DrawFn, history: History) -> History:
    """The same steps in another order that is valid too; each order, owner and the rulebook keep their sequence."""
    waiting, rearranged = list(range(len(history))), list[Step]()
    while waiting:
        ready = [at for at in waiting if not any(_waits_for(history[at], history[by]) for by in waiting if by < at)]
        chosen = draw(st.sampled_from(ready))
        waiting.remove(chosen)
        rearranged.append(history[chosen])
    return rearranged


def _waits_for(step: Step, earlier: Step) -> bool:
    """Say whether a step must stay behind an earlier one: of its own stream, or about the order types it may use."""
    if isinstance(step, RuleStep) and any(isinstance(change, RetireOrderType) for change in step.proposal.alterations):
        return True
    if isinstance(step, OrderStep) and isinstance(earlier, RuleStep):
        return any(isinstance(change, DefineOrderType) for change in earlier.proposal.alterations)
    return stream(step) == stream(earlier)


@st.composite
def batches(draw: st.DrawFn, history: History) -> list[History]:
    """The history cut into batches of consecutive steps, none empty."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(history) - 1)))))
    pieces = [history[start:end] for start, end in zip([0, *cuts], [*cuts, len(history)], strict=True)]
    return [steps for steps in pieces if steps]


# ---- recording


def submission(
    order_id: str, event: OrderEvent, event_id: str, source: str = "erp", expected_version: int | None = None
) -> intake.OrderSubmission:
    """Make what a client would send for this event."""
    made: intake.OrderSubmission = _SUBMISSIONS[type(event)](
        source=source, event_id=event_id, order_id=order_id, expected_version=expected_version, data=event
    )
    return made


_SUBMISSIONS: dict[type[OrderEvent], Any] = {
    OrderPlaced: intake.SubmitPlaced,
    OrderAmended: intake.SubmitAmended,
    OrderReclassified: intake.SubmitReclassified,
    OrderReassigned: intake.SubmitReassigned,
    OrderReturned: intake.SubmitReturned,
    OrderCancelled: intake.SubmitCancelled,
}


def stream(step: Step) -> str:
    """Name the stream that a step's events are in."""
    match step:
        case OrderStep(sent):
            return orders.subject(sent.order_id)
        case FactStep(owner_id, fact):
            return facts.subject(facts.ATTRIBUTES[type(fact)].owner, owner_id)
        case QuotaStep(salesperson_id, _):
            return facts.subject(facts.QUOTA_OWNER, salesperson_id)
        case RuleStep():
            return rulebook.SUBJECT


def play_step(store: Store, step: Step, *, actor: str = "tester") -> int:
    """Record one step; give the position of its last event."""
    match step:
        case OrderStep(sent):
            return intake.record(store, sent, actor=actor).position
        case RuleStep(proposal):
            return rule_changes.change_rules(store, proposal, actor=actor).position
        case FactStep(owner_id, fact):
            return facts.record_fact(store, owner_id, fact, actor=actor)
        case QuotaStep(salesperson_id, quota):
            period = parse_period(quota.period)
            return facts.record_quota(store, salesperson_id, period, quota, actor=actor)


def play(store: Store, history: History) -> list[int]:
    """Record a history step by step; give the ledger's position after each."""
    return [play_step(store, step) for step in history]


def play_batches(store: Store, cut: list[History]) -> None:
    """Record a history batch by batch: order events that follow each other in a batch go in one atomic request."""
    for batch in cut:
        for are_orders, steps in groupby(batch, key=lambda step: isinstance(step, OrderStep)):
            if are_orders:
                intake.record_all(store, [step.submission for step in steps if isinstance(step, OrderStep)], actor="b")
            else:
                play(store, list(steps))

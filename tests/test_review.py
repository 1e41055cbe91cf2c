"""The review finds what the rulebook does not need and which orders do not fit their types, and nothing else.

Source: issue "Rules change for the past", item 7.
"""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings

from api.demo import load_demo
from ledger import rulebook
from ledger.events import (
    Alteration,
    Conditions,
    CustomerClassified,
    DefineOrderType,
    EndRule,
    Line,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReclassified,
    RetireOrderType,
    RuleChangeProposed,
    SetRule,
    Split,
)
from ledger.facts import record_fact
from ledger.intake import record
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.rules import Rules, rule_pieces
from ledger.store import Store
from projections.performance import performance
from projections.projector import Projector
from projections.review import EXAMPLES_MAX, Finding, FindingKind, Review, ReviewedAmount, review
from projections.sentences import of_finding
from tests.oracle import ATTRIBUTES, Credited, World, world
from tests.strategies import History, histories, play, submission
from tests.test_projection import YEAR

JAN, FEB, MAR, APR, MAY = (date(2026, month, 1) for month in (1, 2, 3, 4, 5))
NewStore = Callable[[], Store]
_NUMBERS = count(1)


@pytest.fixture
def store(new_store: NewStore) -> Store:
    """Give a ledger with the order types standard (1) and special (0.5), each used by an order of C-1 in February."""
    opened = new_store()
    change(opened, DefineOrderType("standard", "1"), DefineOrderType("special", "0.5"))
    place(opened, "standard")
    place(opened, "special")
    return opened


def change(store: Store, *alterations: Alteration) -> None:
    change_rules(store, RuleChangeProposed(f"rc-{next(_NUMBERS)}", alterations, "as agreed"), actor="mara")


def send(store: Store, order_id: str, event: OrderEvent) -> None:
    record(store, submission(order_id, event, f"e{next(_NUMBERS)}"), actor="erp")


def place(store: Store, order_type: str, day: date = FEB, customer: str = "C-1", currency: str = "EUR") -> str:
    """Place an order of 100.00 for one product, P-1 of category K-1; give its id."""
    order_id = f"O-{next(_NUMBERS)}"
    lines = (Line(1, "P-1", "1", "100.00", "K-1"),)
    send(store, order_id, OrderPlaced(day, order_type, customer, currency, lines, (Split("S-1"),)))
    return order_id


def reviewed(store: Store, *, first_orders: list[str] | None = None, repeats: list[str] | None = None) -> Review:
    Projector(store.database).catch_up()
    return review(store, first_orders=first_orders, repeats=repeats)


def euros(whole: int) -> tuple[ReviewedAmount, ...]:
    return (ReviewedAmount("EUR", whole * 1_000_000),)


def only(store: Store, kind: FindingKind) -> Finding:
    (finding,) = reviewed(store).of(kind)
    return finding


def test_a_rulebook_without_faults_has_no_findings(store: Store) -> None:
    """The control of every scenario below."""
    change(store, SetRule(Conditions(product_id="P-1", order_type="special"), "0.3", MAR, APR))
    place(store, "special", day=MAR)
    found = reviewed(store)
    assert found.findings == ()
    assert found.view.position == store.head()


def test_an_order_type_without_orders_is_found(store: Store) -> None:
    change(store, DefineOrderType("sample", "0"), DefineOrderType("gift", "0.1"))
    change(store, RetireOrderType("gift", JAN))
    today = store.clock().date()
    assert reviewed(store).findings == (
        Finding(
            FindingKind.unused_order_type, order_types=("sample",), alterations=(RetireOrderType("sample", today),)
        ),
    ), "a type that is retired already needs nothing"
    place(store, "sample")
    assert reviewed(store).findings == ()


def test_a_type_is_not_used_by_orders_that_no_longer_have_it_or_were_voided(store: Store) -> None:
    change(store, DefineOrderType("sample", "0"))
    send(store, place(store, "sample"), OrderReclassified("standard"))
    send(store, place(store, "sample"), OrderCancelled(FEB, void=True))
    assert only(store, FindingKind.unused_order_type).order_types == ("sample",)


@pytest.mark.parametrize(
    ("conditions", "start", "end"),
    [
        (Conditions(product_id="P-2"), JAN, None),
        (Conditions(product_id="P-1", customer_id="C-2"), JAN, MAR),
        (Conditions(category="K-1"), MAR, MAY),
        (Conditions(customer_class="house-account"), JAN, None),
        (Conditions(salesperson_id="S-1", order_type="special"), FEB + timedelta(1), None),
    ],
)
def test_a_rule_that_no_order_meets_on_its_days_is_found(
    store: Store, conditions: Conditions, start: date, end: date | None
) -> None:
    change(store, SetRule(conditions, "0.2", start, end))
    expected = Finding(
        FindingKind.unmatched_rule, conditions=conditions, alterations=(EndRule(conditions, start, end),)
    )
    assert reviewed(store).findings == (expected,)
    record_fact(store, "C-1", CustomerClassified("house-account", JAN), actor="ruth")
    change(store, SetRule(conditions, "0.3", FEB, MAR))
    matches = conditions.product_id != "P-2" and conditions.customer_id != "C-2"
    assert bool(reviewed(store).of(FindingKind.unmatched_rule)) != matches


def test_a_rule_that_is_ended_altogether_is_no_rule(store: Store) -> None:
    conditions = Conditions(product_id="P-2")
    change(store, SetRule(conditions, "0.2", JAN, MAY))
    change(store, EndRule(conditions, JAN))
    assert reviewed(store).findings == ()


def test_a_rule_that_never_decides_is_found_with_who_shadows_it(store: Store) -> None:
    """With its orders and what they are worth; an order type's own share can't be ended."""
    shadowed, customer = Conditions(salesperson_id="S-1"), Conditions(customer_id="C-1")
    product = Conditions(product_id="P-1", order_type="special")
    place(store, "standard", currency="USD")
    change(store, SetRule(shadowed, "0.2", JAN), SetRule(customer, "0.3", JAN), SetRule(product, "0.4", JAN, APR))
    salesperson, standard, special = reviewed(store).findings
    assert salesperson == Finding(
        FindingKind.shadowed_rule,
        conditions=shadowed,
        shadowed_by=(product, customer),
        orders=3,
        amounts=(*euros(200), ReviewedAmount("USD", 100_000_000)),
        alterations=(EndRule(shadowed, JAN),),
    )
    assert of_finding(salesperson) == (
        "The rule for orders of salesperson S-1 matches 3 orders (of 200.00 EUR and 100.00 USD) but decides none: more"
        " specific rules do (orders of product P-1 and of type special and orders of customer C-1)."
    )
    for own, winner, orders in ((standard, customer, 2), (special, product, 1)):
        assert (own.kind, own.shadowed_by) == (FindingKind.shadowed_rule, (winner,))
        assert (own.orders, own.alterations) == (orders, ())


def test_a_rule_that_decides_once_is_not_shadowed(store: Store) -> None:
    change(store, SetRule(Conditions(salesperson_id="S-1"), "0.2", JAN, MAR))
    change(store, SetRule(Conditions(customer_id="C-1"), "0", JAN))
    place(store, "standard", customer="C-2")
    for order_type in ("standard", "special"):
        place(store, order_type, day=date(2025, 12, 31))
    assert reviewed(store).findings == ()


def test_order_types_that_the_rules_do_not_tell_apart_are_found(store: Store) -> None:
    """The one with the most orders stays; a type that a rule tells apart on some days is another."""
    named = Conditions(customer_id="C-9", order_type="standard")
    change(store, DefineOrderType("usual", "1"), DefineOrderType("project", "1"))
    change(store, SetRule(Conditions(order_type="project"), "0.9", MAR, APR))
    for order_type in ("usual", "usual", "project"):
        place(store, order_type)
    today = store.clock().date()
    assert reviewed(store).findings == (
        Finding(
            FindingKind.alike_order_types,
            order_types=("standard", "usual"),
            orders=3,
            amounts=euros(300),
            alterations=(RetireOrderType("standard", today),),
        ),
    )
    change(store, SetRule(named, "0.5", JAN))
    assert not reviewed(store).of(FindingKind.alike_order_types)
    change(store, EndRule(named, JAN))
    assert reviewed(store).of(FindingKind.alike_order_types), "an ended rule tells nothing apart"
    change(store, RetireOrderType("standard", today))
    assert not reviewed(store).of(FindingKind.alike_order_types)


@pytest.fixture
def typed(store: Store) -> Store:
    """Add the types new-customer and repeat, used as they should be by C-7: first, and repeated twice."""
    change(store, DefineOrderType("new-customer", "1.5"), DefineOrderType("Repeat order", "0.7"))
    place(store, "new-customer", MAR, "C-7")
    place(store, "Repeat order", MAR, "C-7")
    place(store, "Repeat order", APR, "C-7")
    return store


def test_types_that_fit_the_customers_history_are_no_finding(typed: Store) -> None:
    """Also where the first order came late into the ledger, or the repeat order of the first day came first."""
    place(typed, "Repeat order", MAY, "C-8")
    place(typed, "standard", APR, "C-8")
    place(typed, "Repeat order", MAR, "C-10")
    place(typed, "new-customer", MAR, "C-10")
    assert reviewed(typed).findings == ()


def test_a_first_order_of_a_known_customer_is_found(typed: Store) -> None:
    late = place(typed, "new-customer", APR, "C-7", "USD")
    later = place(typed, "new-customer", MAY, "C-1")
    expected = Finding(
        FindingKind.known_customer_as_first,
        order_types=("new-customer",),
        orders=2,
        amounts=(*euros(100), ReviewedAmount("USD", 100_000_000)),
        examples=(late, later),
    )
    assert reviewed(typed).findings == (expected,)
    assert reviewed(typed, first_orders=[]).findings == ()
    assert reviewed(typed, first_orders=["special"]).findings == (), "of C-1 both orders are of one day"


def test_a_repeat_order_that_is_the_first_is_found(typed: Store) -> None:
    first = place(typed, "Repeat order", APR, "C-8")
    place(typed, "standard", MAY, "C-8")
    expected = Finding(
        *(FindingKind.first_order_as_repeat, ("Repeat order",)), orders=1, amounts=euros(100), examples=(first,)
    )
    assert reviewed(typed).findings == (expected,)
    assert reviewed(typed, repeats=["standard"]).of(FindingKind.first_order_as_repeat) == []
    place(typed, "standard", MAR, "C-8")
    assert reviewed(typed).findings == ()


def test_voided_and_corrected_orders_are_no_history(typed: Store) -> None:
    voided = place(typed, "standard", FEB, "C-8")
    corrected = place(typed, "standard", FEB, "C-8")
    first = place(typed, "Repeat order", APR, "C-8")
    send(typed, voided, OrderCancelled(FEB, void=True))
    send(typed, corrected, OrderAmended(customer_id="C-1"))
    assert only(typed, FindingKind.first_order_as_repeat).examples == (first,)
    cancelled = place(typed, "standard", FEB, "C-8")
    send(typed, cancelled, OrderCancelled(MAR))
    assert reviewed(typed).findings == (), "an order that was cancelled later had been one"


def test_orders_reclassified_twice_are_found(store: Store) -> None:
    often, voided, once = (place(store, "standard") for _ in range(3))
    for order_id, types in ((often, ("special", "standard")), (voided, ("special",) * 1), (once, ("special",))):
        for order_type in types:
            send(store, order_id, OrderReclassified(order_type))
    assert only(store, FindingKind.reclassified_often) == Finding(
        FindingKind.reclassified_often, orders=1, amounts=euros(100), examples=(often,)
    )
    send(store, voided, OrderReclassified("standard"))
    send(store, voided, OrderReclassified("special"))
    send(store, voided, OrderCancelled(FEB, void=True))
    found = only(store, FindingKind.reclassified_often)
    assert (found.orders, found.amounts, found.examples) == (2, euros(100), (voided, often))


@pytest.mark.parametrize(
    ("finding", "sentence"),
    [
        (Finding(FindingKind.unused_order_type, ("gift",)), "No order is of type gift."),
        (
            Finding(FindingKind.unmatched_rule, conditions=Conditions(category="K-1", customer_class="A")),
            "The rule for orders of product category K-1 and of customers of class A has matched no order on its days.",
        ),
        (
            Finding(FindingKind.alike_order_types, ("usual", "standard"), orders=3, amounts=euros(300)),
            "The rules do not tell the types usual and standard apart: one would do for 3 orders (of 300.00 EUR).",
        ),
        (
            Finding(FindingKind.known_customer_as_first, ("new",), orders=1, amounts=euros(100)),
            "1 order (of 100.00 EUR) of type new, of customers who had ordered before.",
        ),
        (
            Finding(FindingKind.first_order_as_repeat, ("repeat",), orders=2, amounts=euros(200)),
            "2 orders (of 200.00 EUR) of type repeat that are their customers' first.",
        ),
        (
            Finding(FindingKind.reclassified_often, orders=2),
            "2 orders whose type was changed twice or more.",
        ),
    ],
)
def test_a_finding_is_a_sentence(finding: Finding, sentence: str) -> None:
    assert of_finding(finding) == sentence


def test_examples_are_limited_and_counts_are_exact(typed: Store) -> None:
    orders = [place(typed, "new-customer", APR + timedelta(number), "C-7") for number in range(EXAMPLES_MAX + 3)]
    found = only(typed, FindingKind.known_customer_as_first)
    assert (found.orders, found.amounts) == (EXAMPLES_MAX + 3, euros(2300))
    assert found.examples == tuple(orders[:EXAMPLES_MAX])


def test_a_review_is_of_a_position(store: Store) -> None:
    """What was recorded later is not in it, and asking again gives the same."""
    change(store, DefineOrderType("sample", "0"), DefineOrderType("repeat", "0.7"))
    place(store, "repeat", MAR)
    before, then = reviewed(store), store.head()
    assert [finding.kind for finding in before.findings] == [FindingKind.unused_order_type]
    sample = place(store, "sample")
    send(store, sample, OrderReclassified("special"))
    send(store, sample, OrderReclassified("sample"))
    place(store, "repeat", MAR, "C-8")
    change(store, SetRule(Conditions(product_id="P-2"), "0.2", JAN))
    assert [finding.kind for finding in reviewed(store).findings] == [
        FindingKind.unmatched_rule,
        FindingKind.first_order_as_repeat,
        FindingKind.reclassified_often,
    ]
    assert review(store, position=then) == before
    assert review(store, position=then).view.digest == before.view.digest
    with pytest.raises(Refusal) as refused:
        review(store, position=store.head() + 1)
    assert refused.value.code is Code.position_ahead


def test_an_empty_ledger_has_no_findings(new_store: NewStore) -> None:
    assert reviewed(new_store()).findings == ()


def test_the_demos_review(new_store: NewStore) -> None:
    store = new_store()
    load_demo(store.database)
    found = reviewed(store)
    assert [(finding.kind, finding.order_types) for finding in found.findings] == [
        (FindingKind.known_customer_as_first, ("new-customer",)),
        (FindingKind.first_order_as_repeat, ("repeat",)),
    ]
    for finding in found.findings:
        assert finding.orders > 0
        assert len(finding.examples) == min(finding.orders, EXAMPLES_MAX)
        assert {amount.currency for amount in finding.amounts} <= {"EUR", "USD"}


@given(history=histories())
@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_idle_rules_are_those_that_going_through_every_line_finds(new_store: NewStore, history: History) -> None:
    """And ending them changes no figure: what the review gives to simulate moves nothing."""
    store = new_store()
    play(store, history)
    found = reviewed(store)
    book, known_at = store.rulebook(), found.view.known_at
    assert known_at is not None
    retired = {name for name, known in book.order_types.items() if (known.retired_from or date.max) <= known_at.date()}
    expected = _idle_by_hand(world(store, store.head()), book.rules())
    for name in retired:
        if expected.get(Conditions(order_type=name)) == "unused_order_type":
            del expected[Conditions(order_type=name)]
    assert _idle(found) == expected
    before = performance(store, YEAR).view.digest
    alterations = [
        change for finding in found.findings for change in finding.alterations if isinstance(change, EndRule)
    ]
    if alterations:
        rulebook.judge(store.rulebook(), "all of them", alterations)
        change(store, *alterations)
        Projector(store.database).catch_up()
        assert performance(store, YEAR).view.digest == before


def _idle(found: Review) -> dict[Conditions, str]:
    kinds = FindingKind.unmatched_rule, FindingKind.shadowed_rule
    rules = {
        finding.conditions: finding.kind.value for kind in kinds for finding in found.of(kind) if finding.conditions
    }
    unused = found.of(FindingKind.unused_order_type)
    return rules | {Conditions(order_type=finding.order_types[0]): "unused_order_type" for finding in unused}


def _idle_by_hand(known: World, rules: Rules) -> dict[Conditions, str]:
    """Go through every line that is left of every order, and every rule of its day."""
    met, decides = set[Conditions](), set[Conditions]()
    for credit in _left(known, rules):
        profile = Conditions(*_values(credit))
        holding = [
            conditions
            for conditions, versions in rules.versions.items()
            if all(getattr(conditions, name) in (None, getattr(profile, name)) for name in ATTRIBUTES)
            and any(part.start <= credit.ordered_on < part.end for part in rule_pieces(versions))
        ]
        met |= {*holding}
        decides.add(holding[0])
    idle = dict[Conditions, str]()
    for conditions, versions in rules.versions.items():
        if rule_pieces(versions) and conditions not in decides:
            own = conditions == Conditions(order_type=conditions.order_type)
            idle[conditions] = (
                "shadowed_rule" if conditions in met else "unused_order_type" if own else "unmatched_rule"
            )
    return idle


def _values(credit: Credited) -> tuple[str | None, ...]:
    facts = credit.product, credit.product_category, credit.customer, credit.customer_class
    return (*facts, credit.salesperson, credit.order_type)


def _left(known: World, rules: Rules) -> list[Credited]:
    """Give the credits of which something is left, those that no rule tells apart taken together."""
    named = [rules.values(name) for name in ATTRIBUTES]
    groups = dict[tuple[object, ...], list[Credited]]()
    for credit in known.credits():
        seen = tuple(value if value in names else None for value, names in zip(_values(credit), named, strict=True))
        groups.setdefault((credit.order_id, credit.ordered_on, credit.credited_on, seen), []).append(credit)
    return [
        group[0]
        for group in groups.values()
        if any(sum(getattr(credit, name) for credit in group) for name in ("amount", "quantity", "lines"))
    ]

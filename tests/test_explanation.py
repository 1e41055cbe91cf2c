"""An explanation says everything that made an order's credit, as known at a position, and its lines are the figures.

Source: design, invariant 6; issue "Rules change for the past", item 5.
"""

from collections import Counter
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.demo import EXPLAINED_ORDER, PAST_RULE_CHANGE, load_demo
from ledger import facts
from ledger.events import (
    Alteration,
    Conditions,
    CustomerClassified,
    DatedFact,
    EndRule,
    Line,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReassigned,
    OrderReturned,
    ProductCategorised,
    RetireOrderType,
    ReturnedLine,
    RuleChangeProposed,
    SalespersonTeamed,
    SetRule,
    Split,
)
from ledger.facts import record_fact
from ledger.intake import record
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.rules import Standing
from ledger.store import Store
from projections.alternatives import Circumstance
from projections.explanation import ExplainedLine, Explanation, Kind, explain
from projections.performance import performance
from projections.projector import Projector
from projections.sentences import sentences, why
from projections.told import Origin
from tests.oracle import World, world
from tests.strategies import OPENING, History, histories, play, submission
from tests.test_projection import YEAR

JAN, FEB, MAR, APR, MAY = (date(2026, month, 1) for month in (1, 2, 3, 4, 5))
NewStore = Callable[[], Store]


# ---- scenarios


@pytest.fixture
def store(new_store: NewStore) -> Store:
    """Give a ledger with the order types standard (1), special (0.5) and sample (0), opened at position 2."""
    opened = new_store()
    change_rules(opened, OPENING, actor="mara")
    return opened


def change(store: Store, name: str, *alterations: Alteration) -> int:
    return change_rules(store, RuleChangeProposed(name, alterations, "as agreed", "policy"), actor="mara").position


def placed(order_type: str = "standard", *people: tuple[str, str], lines: tuple[Line, ...] = ()) -> OrderPlaced:
    split = people or (("S-1", "1"),)
    splits = tuple(Split(person, share, "Anna" if person == "S-1" else None) for person, share in split if person)
    one = (Line(1, "P-1", "2", "100.00", "K-1", "Sensor"),)
    return OrderPlaced(FEB, order_type, "C-1", "EUR", lines or one, splits, "Hollmann")


def send(store: Store, event: OrderEvent, order_id: str = "O-1") -> int:
    return record(store, submission(order_id, event, f"e{store.head()}"), actor="erp").position


def say(store: Store, owner_id: str, fact: DatedFact) -> int:
    return record_fact(store, owner_id, fact, actor="ruth")


def house_account(since: date = JAN) -> CustomerClassified:
    return CustomerClassified("house-account", since, None, "group contract")


def only(explanation: Explanation) -> ExplainedLine:
    (line,) = explanation.lines
    return line


def standings(line: ExplainedLine) -> list[tuple[int, Standing]]:
    return [(rule.position, rule.standing) for rule in line.rules]


def would_count(line: ExplainedLine) -> dict[tuple[Circumstance, str | None], int | None]:
    return {(found.circumstance, found.value): found.share for found in line.alternatives}


def test_a_line_says_everything_that_made_it(store: Store) -> None:
    say(store, "C-1", CustomerClassified("key-account", JAN))
    team = say(store, "S-1", SalespersonTeamed("north", FEB, MAR))
    at = send(store, placed("special"))
    explanation = explain(store, "O-1")
    line = only(explanation)
    assert (explanation.customer_name, explanation.order_type, explanation.voided) == ("Hollmann", "special", False)
    assert [(event.position, event.type, event.effective_on, event.actor) for event in explanation.life] == [
        (at, "order.placed", FEB, "erp")
    ]
    assert (line.kind, line.line_no, line.salesperson_id, line.salesperson_name) == (Kind.sale, 1, "S-1", "Anna")
    assert (line.product_id, line.product_name, line.currency) == ("P-1", "Sensor", "EUR")
    assert (line.quantity, line.amount, line.share, line.credited) == (2_000_000, 100_000_000, 5000, 500_000_000_000)
    assert line.credited_text == "50.00"
    assert (line.category.value, line.category.origin, line.category.position) == ("K-1", Origin.order, at)
    assert (line.customer_class.value, line.customer_class.origin, line.customer_class.actor) == (
        *("key-account", Origin.fact),
        "ruth",
    )
    assert (line.team.value, line.team.position) == ("north", team)
    (rule,) = line.rules
    assert (rule.conditions, rule.share, rule.standing) == (Conditions(order_type="special"), 5000, Standing.decides)
    assert (rule.rule_change_id, rule.proposer, rule.approver, rule.reason) == (
        "opening",
        "mara",
        "mara",
        OPENING.reason,
    )
    assert (rule.proposed_position, rule.position) == (1, 2)
    assert rule.proposed_at <= rule.approved_at == rule.recorded_at
    assert line.alternatives == ()
    assert explanation.view.position == store.head()
    assert explanation.view.rulebook_position == 2
    (told,) = sentences(explanation)
    assert told == (
        "Order O-1 of 1 February 2026 is credited to Anna (S-1) with 50.00 EUR (100.00 at 0.5) on 1 February 2026:"
        " orders of type special count at 0.5 (rule change opening, position 2, proposed and approved by mara)."
    )


def test_rules_are_listed_in_precedence_order_each_with_its_standing(store: Store) -> None:
    customer, product = Conditions(customer_id="C-1"), Conditions(product_id="P-1")
    old = change(store, "old", SetRule(customer, "0.1", JAN))
    new = change(store, "new", SetRule(customer, "0.2", JAN))
    other_days = change(store, "later", SetRule(customer, "0.3", MAR))
    change(store, "elsewhere", SetRule(Conditions(customer_id="C-2"), "0.4", JAN))
    set_at = change(store, "product", SetRule(product, "0.5", JAN))
    ended = change(store, "no product", EndRule(product, FEB, MAR))
    send(store, placed())
    line = only(explain(store, "O-1"))
    assert standings(line) == [
        (ended, Standing.ended),
        (set_at, Standing.superseded),
        (other_days, Standing.other_days),
        (new, Standing.decides),
        (old, Standing.superseded),
        (2, Standing.less_specific),
    ]
    assert line.share == 2000
    assert why(line) == (
        f"The rule for orders of customer C-1 decides (position {new}): it goes before the rule for orders of type"
        " standard because it names the customer; of the versions of this rule it is the latest recorded (after"
        f" position {old}); the rule for orders of product P-1 is ended on that day (rule change no product,"
        f" position {ended})."
    )


def test_an_ended_rule_leaves_the_order_to_the_next_one(store: Store) -> None:
    conditions = Conditions(customer_id="C-1", order_type="standard")
    set_at = change(store, "set", SetRule(conditions, "0", JAN))
    before = send(store, placed())
    ended = change(store, "end", EndRule(conditions, FEB, MAR))
    assert standings(only(explain(store, "O-1"))) == [
        (ended, Standing.ended),
        (set_at, Standing.superseded),
        (2, Standing.decides),
    ]
    known_then = only(explain(store, "O-1", position=before))
    assert (known_then.share, standings(known_then)[0]) == (0, (set_at, Standing.decides))
    assert would_count(known_then)[Circumstance.rule_ended, None] == 10_000


def test_at_an_earlier_position_the_explanation_is_the_old_one(store: Store) -> None:
    """Before the rule changed for the past, and before the fact was recorded, nobody knew."""
    at = send(store, placed("sample"))
    before = explain(store, "O-1", position=at)
    change(store, "for the past", SetRule(Conditions(order_type="sample"), "0.7", JAN))
    changed = explain(store, "O-1")
    say(store, "C-1", house_account())
    send(store, OrderReassigned(FEB, (Split("S-2"),)))
    assert explain(store, "O-1", position=at) == before
    assert (only(before).share, only(changed).share) == (0, 7000)
    assert only(before).customer_class.origin is Origin.nobody
    now = only(explain(store, "O-1"))
    assert (now.customer_class.value, now.salesperson_id) == ("house-account", "S-2")


def test_a_line_split_among_three_people_adds_up(store: Store) -> None:
    line = Line(1, "P-1", "1", "100.000001")
    send(store, placed("special", ("S-1", "0.3333"), ("S-2", "0.3333"), ("S-3", "0.3334"), lines=(line,)))
    explanation = explain(store, "O-1")
    assert [part.salesperson_id for part in explanation.lines] == ["S-1", "S-2", "S-3"]
    assert sum(part.amount for part in explanation.lines) == 100_000_001
    assert sum(total.credited for total in explanation.totals()) == 100_000_001 * 5000
    assert only_texts(explanation) == ["16.67", "16.67", "16.67"]
    assert len(sentences(explanation)) == 3


def only_texts(explanation: Explanation) -> list[str]:
    return [line.credited_text for line in explanation.lines]


def test_returns_and_cancellations_are_told_apart_and_go_to_who_has_the_order_then(store: Store) -> None:
    send(store, placed())
    send(store, OrderReassigned(MAR, (Split("S-2"),)))
    send(store, OrderReturned(APR, (ReturnedLine(1, "1", "40"),)))
    send(store, OrderCancelled(MAY))
    explanation = explain(store, "O-1")
    assert [(line.kind, line.credited_on, line.salesperson_id, line.amount) for line in explanation.lines] == [
        (Kind.sale, FEB, "S-1", 100_000_000),
        (Kind.returned, APR, "S-2", -40_000_000),
        (Kind.cancellation, MAY, "S-2", -60_000_000),
    ]
    assert [event.type for event in explanation.life][-1] == "order.cancelled"
    assert explanation.cancellation == explanation.life[-1]
    (alternative,) = explanation.alternatives
    assert (alternative.circumstance, alternative.credited) == (Circumstance.not_cancelled, 600_000_000_000)
    told = sentences(explanation)
    assert told[0].startswith("Order O-1 of 1 February 2026 was cancelled on 1 May 2026 (recorded on")
    assert told[1] == "If it had not been cancelled, 60.00 EUR of it would be credited."
    assert told[3].startswith(
        "The return of 1 April 2026 of order O-1 of 1 February 2026 is credited to S-2 with -40.00"
    )
    assert told[4].startswith("The cancellation of 1 May 2026 of order O-1")
    assert len(told) == 5


def test_what_would_make_it_count_is_said_once(store: Store) -> None:
    send(store, placed("sample"))
    send(store, OrderReturned(APR, (ReturnedLine(1, "1", "40"),)))
    told = sentences(explain(store, "O-1"))
    assert [sentence.split(" of ")[0] for sentence in told if "not credited" in sentence] == ["Order O-1", "The return"]
    assert len([sentence for sentence in told if sentence.startswith("It would count")]) == 3


def test_a_voided_order_has_no_lines_and_says_what_it_would_have_brought(store: Store) -> None:
    send(store, placed("special"))
    send(store, OrderCancelled(FEB, void=True))
    explanation = explain(store, "O-1")
    assert (explanation.voided, explanation.lines, explanation.totals()) == (True, (), [])
    (alternative,) = explanation.alternatives
    assert (alternative.circumstance, alternative.credited) == (Circumstance.not_voided, 500_000_000_000)
    assert sentences(explanation)[1] == "If it had not been voided, 50.00 EUR of it would be credited."


def test_a_voided_order_that_would_not_count_anyway_has_no_alternative(store: Store) -> None:
    send(store, placed("sample"))
    send(store, OrderCancelled(FEB, void=True))
    assert explain(store, "O-1").alternatives == ()


def test_an_unassigned_order_would_count_for_somebody(store: Store) -> None:
    send(store, placed("special", ("", "1")))
    explanation = explain(store, "O-1")
    assert would_count(only(explanation)) == {(Circumstance.assigned, None): 5000}
    assert sentences(explanation) == [
        "Order O-1 of 1 February 2026 is credited to nobody: no salesperson is assigned to it.",
        "It would count at 0.5 for a salesperson it is assigned to and whom no rule names.",
    ]


def test_an_unassigned_sample_would_not_count_if_it_were_assigned(store: Store) -> None:
    send(store, placed("sample", ("", "1")))
    explanation = explain(store, "O-1")
    assert Circumstance.assigned not in {found.circumstance for found in only(explanation).alternatives}
    assert "and it would not count if one were: orders of type sample do not count" in sentences(explanation)[0]


def test_what_would_make_it_count_is_tried_out(store: Store) -> None:
    """The class ends, another type, the rule's end and share: each only where it alone makes a share above 0."""
    house = change(
        store,
        "house",
        SetRule(Conditions(customer_class="house-account"), "0", JAN),
        SetRule(Conditions(customer_class="house-account", order_type="special"), "0.3", JAN),
    )
    say(store, "C-1", house_account())
    send(store, placed(), "O-1")
    line = only(explain(store, "O-1"))
    assert line.decider is not None
    assert line.decider.position == house
    assert would_count(line) == {
        (Circumstance.no_customer_class, "house-account"): 10_000,
        (Circumstance.rule_ended, None): 10_000,
        (Circumstance.other_order_type, "special"): 3000,
        (Circumstance.rule_share, None): 10_000,
    }
    send(store, placed("sample"), "O-2")
    sample = only(explain(store, "O-2"))
    assert would_count(sample) == {
        (Circumstance.other_order_type, "special"): 3000,
        (Circumstance.rule_share, None): 10_000,
    }, "a sample of a customer without a class does not count either, nor without the rule"


def test_a_type_that_is_retired_on_the_orders_day_is_no_way_out(store: Store) -> None:
    send(store, placed("sample"))
    change(store, "retire", RetireOrderType("special", FEB), RetireOrderType("standard", MAR))
    ways = would_count(only(explain(store, "O-1")))
    assert [value for circumstance, value in ways if circumstance is Circumstance.other_order_type] == ["standard"]


def test_a_rule_about_the_salesperson_would_not_meet_another(store: Store) -> None:
    change(store, "person", SetRule(Conditions(salesperson_id="S-1"), "0", JAN))
    send(store, placed())
    line = only(explain(store, "O-1"))
    assert would_count(line)[Circumstance.other_salesperson, None] == 10_000
    assert "It would count at 1 for a salesperson that no rule names." in sentences(explain(store, "O-1"))


def test_a_products_category_fact_goes_before_the_lines_own(store: Store) -> None:
    change(
        store,
        "categories",
        SetRule(Conditions(category="K-1"), "0.8", JAN),
        SetRule(Conditions(category="services"), "0", JAN),
    )
    at = send(store, placed())
    fact = say(store, "P-1", ProductCategorised("services", JAN, MAR, "hardware no more"))
    before, now = only(explain(store, "O-1", position=at)), only(explain(store, "O-1"))
    assert (before.category.value, before.category.position, before.share) == ("K-1", at, 8000)
    assert (now.category.value, now.category.origin, now.category.position, now.share) == (
        *("services", Origin.fact),
        *(fact, 0),
    )
    assert now.category.reason == "hardware no more"
    assert would_count(now)[Circumstance.own_category, "K-1"] == 8000
    told = sentences(explain(store, "O-1"))
    assert "product Sensor (P-1) is of category services from 1 January 2026 to 28 February 2026" in told[0]
    assert "It would count at 0.8 if product Sensor (P-1) were of the order's category K-1." in told
    say(store, "P-1", ProductCategorised(None, JAN, MAR))
    nothing = only(explain(store, "O-1"))
    assert (nothing.category.value, nothing.category.origin, nothing.share) == (None, Origin.fact, 10_000)


def test_a_category_fact_of_other_days_leaves_the_lines_own(store: Store) -> None:
    say(store, "P-1", ProductCategorised("services", MAR))
    send(store, placed())
    amended = send(store, OrderAmended((Line(1, "P-1", "1", "7", "K-2"),)))
    line = only(explain(store, "O-1"))
    assert (line.category.value, line.category.origin, line.category.position) == ("K-2", Origin.order, amended)


def test_a_line_without_a_category_has_nobodys(store: Store) -> None:
    send(store, placed(lines=(Line(1, "P-1", "1", "7"),)))
    assert only(explain(store, "O-1")).category.origin is Origin.nobody


def test_lines_with_different_fates_are_said_apart(store: Store) -> None:
    change(store, "product", SetRule(Conditions(product_id="P-2"), "0", JAN))
    lines = tuple(Line(number, product, "1", "10") for number, product in ((1, "P-1"), (2, "P-2"), (3, "P-1")))
    send(store, placed(lines=lines))
    told = sentences(explain(store, "O-1"))
    assert told[0].startswith(
        "Of order O-1 of 1 February 2026 line 1 (P-1) and line 3 (P-1) are credited to Anna (S-1)"
    )
    assert told[1].startswith(
        "Of order O-1 of 1 February 2026 line 2 (P-2) is not credited to Anna (S-1): orders of product"
    )


def test_an_order_that_is_not_known_is_refused(store: Store) -> None:
    at = send(store, placed())
    for order_id, position in (("O-2", None), ("O-1", at - 1)):
        with pytest.raises(Refusal) as refused:
            explain(store, order_id, position=position)
        assert refused.value.code is Code.order_not_found
    assert explain(store, "O-1", position=at).view.position == at
    with pytest.raises(Refusal) as refused:
        explain(store, "O-1", position=at + 1)
    assert refused.value.code is Code.position_ahead


# ---- the demo's order


def test_order_4711_of_the_demo_is_a_house_accounts(new_store: NewStore) -> None:
    store = new_store()
    summary = load_demo(store.database)
    explanation = explain(store, EXPLAINED_ORDER)
    told = sentences(explanation)
    assert {line.share for line in explanation.lines} == {0}
    assert told[0] == (
        f"Order SO-4711 of {_words(explanation.ordered_on)} is not credited to Anna Berger (S-01): customer C-1009 is a"
        " house account since 1 June 2026 (recorded on 18 June 2026 by ruth.sales-director, position"
        f" {explanation.lines[0].customer_class.position}), and orders of house accounts do not count (rule change"
        " 2026-01-opening, position 3, proposed by mara.finance, approved by viktor.cfo)."
    )
    assert told[1] == "It would count at 1 if C-1009 were not a house account."
    assert why(explanation.lines[0]) == (
        "The rule for orders of house accounts decides (position 3): it goes before the rule for orders of type"
        " standard because it names the customer class."
    )
    assert PAST_RULE_CHANGE not in " ".join(told)
    assert explain(store, EXPLAINED_ORDER, position=summary.position_before_change).lines == explanation.lines


def _words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


# ---- invariant 6


@given(history=histories(), data=st.data())
@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_explanations_sum_to_the_figures_and_decide_as_they_do(
    new_store: NewStore, history: History, data: st.DataObject
) -> None:
    """Of all orders known at any position, per salesperson and currency; every line's share is the oracle's."""
    store = new_store()
    positions = play(store, history)
    position = data.draw(st.sampled_from(positions))
    known = world(store, position)
    explanations = [explain(store, order_id, position=position) for order_id in known.orders]
    sums = Counter[tuple[str | None, str]]()
    gross = Counter[tuple[str | None, str]]()
    for explanation in explanations:
        for total in explanation.totals():
            sums[total.salesperson_id, total.currency] += total.credited
            gross[total.salesperson_id, total.currency] += total.gross
        assert sentences(explanation) or not explanation.lines
        assert all(why(line) for line in explanation.lines)
        _holds_together(explanation)
    expected = known.figures(YEAR.start, YEAR.end, ("salesperson",))
    assert {key: row[1] for key, row in expected.items() if row[1]} == _above_nothing(sums)
    assert {key: row[0] for key, row in expected.items() if row[0]} == _above_nothing(gross)
    assert _fates_of(explanations) == _fates(known)


def _above_nothing(sums: Counter[tuple[str | None, str]]) -> dict[tuple[str | None, str], int]:
    return {key: value for key, value in sums.items() if value}


def _fates_of(explanations: list[Explanation]) -> Counter[tuple[object, ...]]:
    return Counter(
        (told.order_id, line.line_no, line.salesperson_id, line.credited_on, line.amount, line.quantity, line.share)
        for told in explanations
        for line in told.lines
    )


def _fates(known: World) -> Counter[tuple[object, ...]]:
    return Counter(
        (part.order_id, part.line_no, part.salesperson, part.credited_on, part.amount, part.quantity, known.share(part))
        for part in known.credits()
    )


def _holds_together(explanation: Explanation) -> None:
    """The deciding version's share is the line's; what would make it count would; what counts needs nothing."""
    for line in explanation.lines:
        assert [rule.standing for rule in line.rules].count(Standing.decides) == 1, "a rule always matches"
        assert line.decider is not None
        assert line.decider.share == line.share
        assert line.credited == line.amount * line.share
        assert all(found.share for found in line.alternatives)
        assert bool(line.alternatives) == (line.share == 0 or line.salesperson_id is None)


def test_the_figures_of_the_projection_are_the_explanations(new_store: NewStore) -> None:
    """The demo's figures of all time, by the calculation in SQL, are the sums of its orders' explanations."""
    store = new_store()
    load_demo(store.database)
    Projector(store.database).catch_up()
    sums = Counter[tuple[str | None, str]]()
    with store.database.cursor() as cursor:
        cursor.execute("SELECT substr(subject, 7) FROM event WHERE type = 'order.placed'")
        order_ids = [order_id for (order_id,) in cursor.fetchall()]
    for order_id in order_ids:
        for total in explain(store, order_id).totals():
            sums[total.salesperson_id, total.currency] += total.credited
    figures = performance(store, YEAR).figures
    assert {(figure.keys[0].value, figure.currency): figure.credited for figure in figures} == dict(sums)


# ---- facts


def test_a_fact_is_found_as_the_timeline_lays_it(store: Store) -> None:
    """Of the facts that cover the order's day the latest recorded holds, as fact_pieces gives it."""
    said: list[DatedFact] = [
        CustomerClassified("key-account", JAN),
        CustomerClassified("house-account", FEB, MAR),
        CustomerClassified(None, MAR, APR),
    ]
    for fact in said:
        say(store, "C-1", fact)
    laid = facts.fact_pieces(store.stream(facts.subject("customer", "C-1")), CustomerClassified)
    for number, day in enumerate((date(2025, 12, 31), JAN, FEB, MAR, APR)):
        order = placed()
        send(store, OrderPlaced(day, "standard", "C-1", "EUR", order.lines, order.splits), f"O-{number}")
        expected = next((part.value for part in laid if part.start <= day < part.end), None)
        assert only(explain(store, f"O-{number}")).customer_class.value == expected

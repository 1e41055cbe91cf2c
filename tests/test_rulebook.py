"""The rulebook: which rule decides for whom on which day, and which changes of it are refused.

Source: DESIGN.md, section 4, "Counting rules".
"""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import rulebook
from ledger.events import (
    Alteration,
    Conditions,
    DefineOrderType,
    EndRule,
    Recorded,
    RenameOrderType,
    RetireOrderType,
    RuleChangeApproved,
    RuleChangeProposed,
    SetRule,
)
from ledger.refusal import Refusal
from ledger.rulebook import EMPTY, Rulebook
from ledger.rules import ATTRIBUTES, RuleVersion, Standing, precedence
from tests.strategies import DAY_MAX, DAY_MIN, OPENING, History, Model, RuleStep, histories, profiles

JAN, FEB, MAR, APR, MAY = (date(2026, month, 1) for month in (1, 2, 3, 4, 5))
LINE = Conditions("P", "K", "C", "house-account", "S", "standard")
"""What a credit line looks like to the rules. A scenario writes what a rule names as letters:
P product, K category, C customer, H customer class (a house account), S salesperson, T order type."""


def names(letters: str) -> Conditions:
    """Make the conditions that name LINE's values of these attributes."""
    attributes = [ATTRIBUTES["PKCHST".index(letter)] for letter in letters]
    return Conditions(**{attribute: getattr(LINE, attribute) for attribute in attributes})


def bare(order_type: str = "standard") -> Conditions:
    """Make a line that has only what every line has."""
    return Conditions(product_id="P", customer_id="C", order_type=order_type)


def change(*alterations: Alteration, name: str = "change") -> RuleChangeProposed:
    """Propose alterations."""
    return RuleChangeProposed(name, alterations, "because")


def recorded(version: int, event: RuleChangeProposed | RuleChangeApproved, actor: str) -> Recorded:
    """Make a rulebook's event as if it were stored, at ten times its version."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=version)
    return Recorded(version * 10, rulebook.SUBJECT, version, f"e{version}", "test", actor, at, JAN, event)


def made(*changes: RuleChangeProposed, start: Rulebook = EMPTY) -> Rulebook:
    """Judge changes, record each with its approval, and give the rulebook folded from what was recorded."""
    book = start
    for proposal in changes:
        rulebook.decide(book, proposal)
        approval = RuleChangeApproved(proposal.rule_change_id, four_eyes=False)
        events = [recorded(book.version + 1, proposal, "asker"), recorded(book.version + 2, approval, "approver")]
        book = rulebook.fold(events, book)
    return book


def deciding(book: Rulebook, day: date, line: Conditions = LINE) -> RuleVersion | None:
    """Give the version that decides on a day."""
    found = [part.value for part in book.rules().resolve(line) if part.start <= day < part.end]
    assert len(found) <= 1, "one rule decides"
    return found[0] if found else None


def share_on(book: Rulebook, day: date, line: Conditions = LINE) -> int | None:
    """Give the share that counts on a day."""
    version = deciding(book, day, line)
    return version.share if version else None


# ---- which rule wins


def test_rules_are_compared_in_the_order_of_the_design() -> None:
    expected = ("product_id", "category", "customer_id", "customer_class", "salesperson_id", "order_type")
    assert expected == ATTRIBUTES


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        *(("P", "K"), ("K", "C"), ("C", "H"), ("H", "S"), ("S", "T")),  # product > category > … > order type
        *(("P", "KCHST"), ("K", "CHST"), ("C", "HST"), ("H", "ST")),  # naming the product beats naming all the rest
        *(("PK", "P"), ("PT", "P"), ("KT", "K"), ("ST", "S"), ("HT", "H")),  # naming one thing more
        *(("PK", "PCHST"), ("PC", "PHST"), ("PS", "PT"), ("CT", "HS"), ("KC", "KHST")),  # the first difference decides
        ("PKCHST", "PKCHS"),
    ],
)
def test_the_most_specific_rule_wins(winner: str, loser: str) -> None:
    """Compare what two rules name, product first; whichever of the two was recorded last makes no difference."""
    rules = [SetRule(names(winner), "0.1", JAN), SetRule(names(loser), "0.2", JAN)]
    for first, second in (rules, rules[::-1]):
        book = made(OPENING, change(first, name="a"), change(second, name="b"))
        assert share_on(book, JAN) == 1000
        order = [*book.rules().versions]
        assert order.index(names(winner)) < order.index(names(loser))


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_rule_matches_only_its_value(attribute: str) -> None:
    """A rule that names another value, or a value that the line lacks, does not decide."""
    other = Conditions(**{attribute: "special" if attribute == "order_type" else "another"})
    book = made(OPENING, change(SetRule(other, "0.1", JAN)))
    assert share_on(book, JAN) == 10_000
    assert share_on(book, JAN, bare()) == 10_000


def test_an_order_type_counts_by_its_own_share_on_every_day() -> None:
    book = made(OPENING)
    for order_type, share in (("standard", 10_000), ("special", 5_000), ("sample", 0)):
        assert [share_on(book, day, bare(order_type)) for day in (date.min, JAN, date(2199, 12, 31))] == [share] * 3


def test_of_one_rules_versions_the_latest_recorded_that_covers_the_day_wins() -> None:
    book = made(
        OPENING,
        change(SetRule(names("C"), "0.1", JAN), name="a"),
        change(SetRule(names("C"), "0.2", MAR), name="b"),
        change(SetRule(names("C"), "0.3", FEB, APR), name="late, and for the past"),
    )
    by_day = {JAN - timedelta(1): 10_000, JAN: 1000, FEB: 3000, MAR: 3000, APR - timedelta(1): 3000, APR: 2000}
    assert {day: share_on(book, day) for day in by_day} == by_day
    version = deciding(book, FEB)
    assert version is not None
    assert (version.rule_change_id, version.position) == ("late, and for the past", book.position)


def test_an_ended_stretch_leaves_the_day_to_the_next_rule() -> None:
    """Not to an older version of the ended rule."""
    book = made(
        OPENING,
        change(SetRule(names("C"), "0.1", JAN), SetRule(names("P"), "0.2", JAN), name="a"),
        change(SetRule(names("P"), "0.3", FEB), name="b"),
        change(EndRule(names("P"), MAR, APR), name="c"),
    )
    by_day = {JAN: 2000, FEB: 3000, MAR: 1000, APR - timedelta(1): 1000, APR: 3000}
    assert {day: share_on(book, day) for day in by_day} == by_day


def test_an_ended_rule_can_be_set_again() -> None:
    book = made(
        OPENING,
        change(SetRule(names("C"), "0.1", JAN), name="a"),
        change(EndRule(names("C"), FEB), name="b"),
        change(SetRule(names("C"), "0.4", MAR, APR), name="c"),
    )
    by_day = {JAN: 1000, FEB: 10_000, MAR: 4000, APR: 10_000}
    assert {day: share_on(book, day) for day in by_day} == by_day


def test_where_an_order_types_own_share_is_ended_it_counts_as_defined() -> None:
    """So that a rule always matches; ending what was never set changes nothing."""
    book = made(OPENING, change(SetRule(names("T"), "0.7", JAN), name="a"), change(EndRule(names("T"), FEB, MAR)))
    assert [share_on(book, day) for day in (JAN, FEB, MAR)] == [7000, 10_000, 7000]
    with pytest.raises(Refusal):
        rulebook.decide(made(OPENING), change(EndRule(names("T"), FEB, MAR)))


def by_hand(book: Rulebook, profile: Conditions, day: date) -> RuleVersion | None:
    """Find the deciding version without the timeline: go through every recorded version, for one day."""
    order = ("product_id", "category", "customer_id", "customer_class", "salesperson_id", "order_type")
    latest = dict[Conditions, RuleVersion]()
    for version in book.versions:
        if (version.effective_from or day) <= day and (version.effective_to is None or day < version.effective_to):
            latest[version.conditions] = version
    met = [
        version
        for asked, version in latest.items()
        if version.share is not None and all(getattr(asked, name) in (None, getattr(profile, name)) for name in order)
    ]
    return max(met, key=lambda version: [getattr(version.conditions, name) is not None for name in order], default=None)


@settings(deadline=None, max_examples=40)
@given(histories(), st.lists(profiles(), min_size=1, max_size=3))
def test_resolve_finds_what_going_through_every_version_finds(history: History, lines: list[Conditions]) -> None:
    """For every line, on every day on which something begins or ends, and on the day before."""
    model = Model()
    for step in history:
        if isinstance(step, RuleStep):
            model.apply(step)
    edges = {DAY_MIN, DAY_MAX} | {d for v in model.book.versions for d in (v.effective_from, v.effective_to) if d}
    for line in lines:
        for day in sorted(edges | {edge - timedelta(1) for edge in edges}):
            found = deciding(model.book, day, line)
            assert found == by_hand(model.book, line, day)
            assert found is not None, "a rule always matches"
            assert found.share is not None
            _are_told(model.book, line, day, found)


def _are_told(book: Rulebook, line: Conditions, day: date, decider: RuleVersion) -> None:
    """Hold the candidates of a day against what decides: every version that the line meets, in precedence order."""
    candidates = book.rules().candidates(line, day)
    standings = {standing: [c.version for c in candidates if c.standing is standing] for standing in Standing}
    assert standings[Standing.decides] == [decider]
    order = ("product_id", "category", "customer_id", "customer_class", "salesperson_id", "order_type")
    met = [v for v in book.versions if all(getattr(v.conditions, n) in (None, getattr(line, n)) for n in order)]
    assert sorted(c.version.position for c in candidates) == sorted(version.position for version in met)
    precedences = [precedence(c.version.conditions) for c in candidates]
    assert precedences == sorted(precedences, reverse=True)
    for candidate in candidates:
        version, named = candidate.version, precedence(candidate.version.conditions)
        covers = (version.effective_from or day) <= day and (version.effective_to is None or day < version.effective_to)
        assert covers != (candidate.standing is Standing.other_days)
        match candidate.standing:
            case Standing.less_specific:
                assert named < precedence(decider.conditions)
                assert version.share is not None
            case Standing.ended:
                assert version.share is None
            case Standing.superseded:
                later = [c.version for c in candidates if c.version.conditions == version.conditions]
                assert version not in later[:1], "the latest recorded of a rule is superseded by none"


# ---- what a change brings


def test_a_proposal_alone_changes_no_rule() -> None:
    proposal = change(SetRule(names("P"), "0.1", JAN))
    book = rulebook.evolve(made(OPENING), recorded(3, proposal, "asker"))
    assert book.versions == made(OPENING).versions
    assert book.changes["change"].decision is None
    assert (book.version, book.position) == (3, 30)


def test_an_approved_change_says_who_asked_and_who_approved() -> None:
    book = made(OPENING, change(SetRule(names("P"), "0.1", JAN)))
    known = book.changes["change"]
    assert known.approval is not None
    assert (known.proposer, known.approval.actor, known.reason) == ("asker", "approver", "because")
    assert (known.proposed_position, known.approval.position) == (30, 40)
    assert known.proposed_at < known.approval.recorded_at
    assert book.versions[-1].position == 40, "a rule is known from its approval on"


def test_order_types_are_defined_renamed_and_retired() -> None:
    book = made(OPENING, change(RenameOrderType("sample", "样品"), RetireOrderType("sample", MAR)))
    assert book.order_types["sample"].name == "样品"
    assert book.order_types["sample"].retired_from == MAR
    assert share_on(book, MAY, bare("sample")) == 0


def test_a_change_may_use_the_type_that_it_defines() -> None:
    own = Conditions(order_type="repeat")
    book = made(OPENING, change(DefineOrderType("repeat", "0.5"), SetRule(own, "0.7", FEB)))
    assert [share_on(book, day, bare("repeat")) for day in (JAN, FEB)] == [5000, 7000]


# ---- what is refused

SET = SetRule(names("P"), "0.1", JAN, MAR)
OTHER_TYPE = Conditions(order_type="repeat")
REFUSED: dict[str, tuple[tuple[Alteration, ...], list[str]]] = {
    "nothing altered": ((), ["invalid_value"]),
    "set over itself": ((SET, SetRule(names("P"), "0.2", FEB)), ["contradictory_alterations/1"]),
    "set and ended": ((SET, EndRule(names("P"), FEB, MAR)), ["contradictory_alterations/1"]),
    "renamed twice": ((RenameOrderType("sample", "A"),) * 2, ["contradictory_alterations/1"]),
    "retired twice": ((RetireOrderType("sample", JAN),) * 2, ["contradictory_alterations/1"]),
    "empty range": ((SetRule(names("P"), "0.1", JAN, JAN),), ["empty_range/0/effective_to"]),
    "backward range": ((SetRule(names("P"), "0.1", FEB, JAN),), ["empty_range/0/effective_to"]),
    "begins too early": ((SetRule(names("P"), "1", date(1899, 12, 31)),), ["invalid_date/0/effective_from"]),
    "ends too late": ((EndRule(names("C"), JAN, date(2200, 1, 1)),), ["invalid_date/0/effective_to"]),
    "retired too late": ((RetireOrderType("sample", date(2200, 1, 1)),), ["invalid_date/0/effective_from"]),
    "no condition": ((SetRule(Conditions(), "0.1", JAN),), ["invalid_value/0/conditions"]),
    "blank value": ((SetRule(Conditions(category=" "), "1", JAN),), ["invalid_value/0/conditions/category"]),
    "share too large": ((SetRule(names("P"), "10", JAN),), ["invalid_share/0/share"]),
    "share too fine": ((SetRule(names("P"), "0.12345", JAN),), ["invalid_share/0/share"]),
    "share below 0": ((DefineOrderType("repeat", "-1"),), ["invalid_share/0/share"]),
    "type there already": ((DefineOrderType("sample", "1"),), ["order_type_exists/0/order_type"]),
    "type with a bad id": ((DefineOrderType("a\nb", "1"),), ["invalid_value/0/order_type"]),
    "name with a control": ((RenameOrderType("sample", "a\x00"),), ["invalid_value/0/name"]),
    "rename of unknown": ((RenameOrderType("repeat", "A"),), ["unknown_order_type/0/order_type"]),
    "retire of unknown": ((RetireOrderType("repeat", JAN),), ["unknown_order_type/0/order_type"]),
    "rule of unknown": ((SetRule(OTHER_TYPE, "1", JAN),), ["unknown_order_type/0/conditions/order_type"]),
    "end of no rule": ((EndRule(names("PK"), JAN),), ["unknown_rule/0/conditions"]),
    "same share again": ((SetRule(names("C"), "0.10", FEB, MAR),), ["nothing_changed"]),
    "ended already": ((EndRule(names("C"), MAY),), ["nothing_changed"]),
    "same name again": ((RenameOrderType("special", "Special"),), ["nothing_changed"]),
    "two at once": ((SetRule(names("P"), "x", JAN, JAN),), ["invalid_share/0/share", "empty_range/0/effective_to"]),
}
"""What is refused, and each problem's code and pointer below /alterations."""


@pytest.mark.parametrize(("alterations", "problems"), REFUSED.values(), ids=REFUSED)
def test_a_change_that_can_not_be_is_refused(alterations: tuple[Alteration, ...], problems: list[str]) -> None:
    """Every problem is told, with a code, a pointer into the proposal and a sentence that names the change."""
    book = made(OPENING, change(SetRule(names("C"), "0.1", JAN, APR), RenameOrderType("special", "Special")))
    with pytest.raises(Refusal) as refused:
        rulebook.decide(book, change(*alterations, name="RC-7"))
    told = [problem.code.name + problem.pointer.removeprefix("/alterations") for problem in refused.value.problems]
    assert told == problems
    assert all("'RC-7'" in problem.detail for problem in refused.value.problems)


@pytest.mark.parametrize("reason", ["", " ", "a\x00b", "x" * 501])
def test_a_change_needs_a_reason_that_can_be_read(reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        rulebook.decide(made(OPENING), RuleChangeProposed("RC-7", (SET,), reason))
    assert refused.value.problems[0].pointer == "/reason"


def test_alterations_that_touch_do_not_contradict() -> None:
    """Ranges are half-open: one may end on the day on which the next begins. Other conditions are another rule."""
    book = made(OPENING, change(SET, SetRule(names("P"), "0.2", MAR, APR), SetRule(names("PK"), "0.3", JAN)))
    assert [share_on(book, day, bare()) for day in (FEB, MAR, APR)] == [1000, 2000, 10_000]


@settings(deadline=None, max_examples=40)
@given(histories())
def test_an_accepted_change_is_refused_the_second_time(history: History) -> None:
    """It would change nothing (or define a type twice); and judging never alters the rulebook that it judges by."""
    model = Model()
    for step in history:
        if isinstance(step, RuleStep):
            before = model.book
            kept = (dict(before.order_types), before.versions)
            model.apply(step)
            assert (before.order_types, before.versions) == kept
            with pytest.raises(Refusal):
                rulebook.decide(model.book, step.proposal)


@pytest.mark.parametrize("name", ["", " RC", "a\x00b", "x" * 121])
def test_a_change_needs_an_id(name: str) -> None:
    with pytest.raises(Refusal):
        rulebook.decide(made(OPENING), change(SET, name=name))

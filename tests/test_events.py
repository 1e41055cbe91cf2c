"""Stored events: stable names, plain JSON that is read back as it was written, and history that stays readable."""

import json
import re
import types
import typing
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import checks, events, orders
from ledger.database import Database
from ledger.events import (
    NAMES,
    TYPES,
    UPCASTERS,
    Envelope,
    Event,
    Line,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReclassified,
    Recorded,
    Split,
    decode,
    encode,
    recorded,
)
from ledger.intake import record
from ledger.refusal import Refusal
from ledger.rule_changes import change_rules
from ledger.sequencer import Append, Appended, NewEvent
from ledger.store import Store
from tests.strategies import OPENING, History, Model, OrderStep, histories, submission

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STORED_NAMES = {
    "order.placed": "OrderPlaced",
    "order.amended": "OrderAmended",
    "order.reclassified": "OrderReclassified",
    "order.reassigned": "OrderReassigned",
    "order.returned": "OrderReturned",
    "order.cancelled": "OrderCancelled",
    "customer.classified": "CustomerClassified",
    "product.categorised": "ProductCategorised",
    "salesperson.teamed": "SalespersonTeamed",
    "salesperson.quota_set": "SalespersonQuotaSet",
    "rule_change.proposed": "RuleChangeProposed",
    "rule_change.approved": "RuleChangeApproved",
    "rule_change.rejected": "RuleChangeRejected",
    "rule_change.withdrawn": "RuleChangeWithdrawn",
    "period.closed": "PeriodClosed",
    "period.restated": "PeriodRestated",
    "period.carried_forward": "DriftCarriedForward",
    "signing_key.introduced": "SigningKeyIntroduced",
    "checkpoint.issued": "CheckpointIssued",
    "checkpoint.cosigned": "CheckpointCosigned",
    "ledger.opened": "LedgerOpened",
}
"""What ledgers hold: a line here is never changed or taken away, an upcaster's name takes its place in the code."""


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Draw whatever a field of this type can hold, however odd: structure only, as decoding sees it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return values(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*map(values, arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind, include_extras=True)
        return st.builds(kind, **{name: values(hints[name]) for name in kind.__struct_fields__})
    return _PLAIN[kind]


_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(codec="utf-8"), max_size=12),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    date: st.dates(),
    type(None): st.none(),
}


def document(name: str, data: bytes, version: int = 1) -> bytes:
    """Store an event's data, as the sequencer does."""
    envelope = Envelope("e1", "erp", name, "order/1", version, NOON, date(2026, 3, 1), "clerk", msgspec.Raw(data))
    return encode(envelope)


def made(event: Event, position: int = 1) -> Recorded:
    """Write an event and read it back whole."""
    return recorded(position, document(NAMES[type(event)], encode(event)))


# ---- names and bytes


def test_every_stored_name_is_read() -> None:
    """Invariant 12: a name that was ever stored is registered, or upcast to one that is."""
    current = {name: event.__name__ for name, event in TYPES.items()}
    for name, class_name in STORED_NAMES.items():
        assert name in UPCASTERS or current[name] == class_name
    assert current.keys() <= STORED_NAMES.keys(), "a new name is written down here as well"


def test_every_event_has_one_name() -> None:
    assert {TYPES[name] for name in NAMES.values()} == set(typing.get_args(Event))
    assert len(NAMES) == len(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_a_stored_name_is_not_a_class_path(name: str) -> None:
    """Classes and modules are renamed freely; the name says what happened to what, in the past tense."""
    assert re.fullmatch(r"[a-z_]+\.([a-z]+(ed|awn)(_forward)?|quota_set)", name)
    assert TYPES[name].__name__ not in name
    assert TYPES[name].__module__ not in name


@pytest.mark.parametrize("name", TYPES)
def test_an_event_is_read_back_as_it_was_written(name: str) -> None:
    """For every type and any values; also from JSON that another program wrote, with other spaces and order."""

    @settings(max_examples=30, deadline=None)
    @given(values(TYPES[name]))
    def check(event: Event) -> None:
        state = document(name, encode(event))
        assert decode(name, state) == event
        other = json.dumps(dict(reversed(json.loads(state).items())), indent=2)
        assert decode(name, other) == event
        again = recorded(7, state)
        assert (again.data, again.position, again.recorded_at) == (event, 7, NOON)
        assert (again.subject, again.version, again.event_id) == ("order/1", 1, "e1")
        assert (again.source, again.actor, again.effective_on) == ("erp", "clerk", date(2026, 3, 1))

    check()


@pytest.mark.parametrize("name", TYPES)
def test_no_field_that_is_not_known_is_passed_over(name: str) -> None:
    """Neither is a document of another type taken for this one: whoever reads stops there."""
    with pytest.raises(msgspec.ValidationError):
        decode(name, document(name, b'{"surprise":1}'))


def test_a_name_that_is_not_known_stops_the_reader() -> None:
    with pytest.raises(KeyError):
        decode("order.forgotten", document("order.forgotten", b"{}"))


def test_a_float_is_not_an_amount() -> None:
    """Money is a string in the stored bytes too."""
    text = encode(Line(1, "P", "1", "12.5"))
    assert b'"12.5"' in text
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text.replace(b'"12.5"', b"12.5"), type=Line)


# ---- upcasters


def test_an_event_of_an_old_name_is_read_as_what_it_became(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    """By a chain of upcasters, on reading; the stored bytes stay what they were."""
    monkeypatch.setitem(UPCASTERS, "order.typed", ("order.retyped", lambda data: {"type": data["t"]}))
    monkeypatch.setitem(UPCASTERS, "order.retyped", ("order.reclassified", lambda data: {"order_type": data["type"]}))
    store = Store(database)
    old = NewEvent("order/1", 1, "order.typed", "test", "e1", "tester", date(2026, 3, 1), b'{"t":"special"}')
    new = NewEvent("order/1", 2, "order.reclassified", "test", "e2", "tester", date(2026, 3, 1), b'{"order_type":"x"}')
    assert isinstance(store.sequencer.append(Append([old, new])), Appended)
    before = store.documents(0, 9)
    read = [event.data for event in store.stream("order/1")]
    assert read == [OrderReclassified("special"), OrderReclassified("x")]
    assert store.documents(0, 9) == before
    assert '"type":"order.typed"' in before[0].state
    store.close()


def test_the_control_without_its_upcaster_an_old_name_is_not_read() -> None:
    with pytest.raises(KeyError):
        decode("order.typed", document("order.typed", b'{"t":"special"}'))


# ---- evolution

PLACED = OrderPlaced(date(2026, 3, 1), "standard", "C", "EUR", (Line(1, "P", "1", "1"),), (Split("ann"),))
NO_LONGER_ACCEPTED: list[OrderEvent] = [
    OrderPlaced(
        ordered_on=date(1800, 1, 1),
        order_type="forgotten type",
        customer_id=" \n",
        currency="florin",
        lines=(Line(-1, "", "1", "99999999999999"), Line(-1, "", "0", "0")),
        splits=(Split("ann", "0.1"), Split("ann", "0.1")),
    ),
    OrderReclassified(""),
    OrderCancelled(date(1700, 1, 1)),
]


def test_history_that_would_be_refused_today_is_read_and_built_upon(database: Database) -> None:
    """Invariant 12: what is in the ledger is judged no more; only what comes next is."""
    store, made_of_it = Store(database), None
    change_rules(store, OPENING, actor="tester")
    for version, event in enumerate(NO_LONGER_ACCEPTED, 1):
        with pytest.raises(Refusal):  # the control
            orders.decide("old", made_of_it, event, store.rulebook().order_types)
        made_of_it = orders.evolve(made_of_it, event)
        new = NewEvent(
            "order/old", version, NAMES[type(event)], "old", f"e{version}", "x", date(1800, 1, 1), encode(event)
        )
        assert isinstance(store.sequencer.append(Append([new])), Appended)
    assert [event.data for event in store.stream("order/old")] == NO_LONGER_ACCEPTED
    assert orders.fold(store.stream("order/old")) == made_of_it
    accepted = record(store, submission("old", OrderReclassified("special"), "e4"), actor="tester")
    assert accepted.version == 4
    store.close()


@settings(deadline=None, max_examples=25)
@given(histories(max_steps=15))
def test_replaying_never_judges(history: History) -> None:
    """Invariant 12: with every limit tightened to nothing, a recorded history is read as it was on the day."""
    model, streams = Model(), dict[str, list[Recorded]]()
    for step in history:
        model.apply(step)
        if isinstance(step, OrderStep):
            streams.setdefault(step.submission.order_id, []).append(made(step.submission.data))
    with pytest.MonkeyPatch.context() as tightened:
        tightened.setattr(orders, "LINES_MAX", 0)
        tightened.setattr(checks, "IDENTIFIER_CHARACTERS_MAX", 0)
        tightened.setattr(checks, "DAY_MAX", date(1900, 1, 1))
        for order_id, order in model.orders.items():
            assert orders.fold(streams[order_id]) == order
        with pytest.raises(Refusal):  # the control
            orders.decide("new", None, PLACED, model.book.order_types)


def test_stored_bytes_name_no_class(database: Database) -> None:
    """Neither modules nor classes show in what is stored, so that both can be renamed."""
    store = Store(database)
    change_rules(store, OPENING, actor="tester")
    record(store, submission("SO-1", PLACED, "e1"), actor="tester")
    inside = [event.__name__ for event in (*TYPES.values(), events.DefineOrderType, Line, Split)]
    for stored in store.documents(0, 9):
        assert not any(name in stored.state for name in ("ledger.events", "__", *inside))
    store.close()

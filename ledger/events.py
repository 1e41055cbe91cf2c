"""The events: frozen facts with stable stored names, and their bytes.

What an event is, field by field, is documented in docs/events.md from these same types. The types are only structure:
`decide` in orders.py and rulebook.py judges values once, before recording; decoding never judges again, so that a
rule tightened today can't make yesterday's history unreadable (design, invariant 12). The descriptions and patterns
below document the fields (OpenAPI is made from them); they are not applied on reading.

A stored event is one JSON document in the CloudEvents 1.0 form, and the bytes of that document are what is hashed:
    {"specversion":"1.0","id":…,"source":…,"type":"order.placed","subject":"order/SO-1","version":1,
     "time":…recorded…,"effective":…business date…,"actor":…,"data":{…}}
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

IDENTIFIER_CHARACTERS_MAX: Final = 120

Identifier = Annotated[
    str,
    Meta(
        description="An identifier of the client's choice: 1 to 120 printable characters, no space at either end.",
        extra_json_schema={"minLength": 1, "maxLength": IDENTIFIER_CHARACTERS_MAX},
    ),
]
Text = Annotated[
    str,
    Meta(
        description="A name or sentence for people: 1 to 500 printable characters.",
        extra_json_schema={"minLength": 1, "maxLength": 500},
    ),
]
Amount = Annotated[
    str,
    Meta(
        description="An exact decimal as a string: at most 13 digits and six decimals.",
        examples=["168.00"],
        extra_json_schema={"pattern": r"^-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,6})?$"},
    ),
]
ExactAmount = Annotated[
    str,
    Meta(
        description="An exact decimal as a string: a sum of amounts times shares has up to ten decimals.",
        examples=["168.0000000001"],
        extra_json_schema={"pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,10})?$"},
    ),
]
Share = Annotated[
    str,
    Meta(
        description="A share as a string, 0 to 9.9999, at most four decimals. '0' in a rule: does not count.",
        examples=["0.5"],
        extra_json_schema={"pattern": r"^[0-9](\.[0-9]{1,4})?$"},
    ),
]
CurrencyCode = Annotated[str, Meta(description="ISO 4217 code.", examples=["EUR"])]
Reason = Annotated[str, Meta(description="Why, for the auditor: a sentence.", extra_json_schema={"minLength": 1})]


class Fact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The data of one event, or a part of it."""


class Line(Fact, frozen=True):
    """One order line. Units: quantity in pieces, amount in the order's currency, both decimals as strings."""

    line_no: int
    product_id: Identifier
    quantity: Amount
    amount: Amount
    category: Identifier | None = None
    product_name: Text | None = None


class Split(Fact, frozen=True):
    """One salesperson's share of an order."""

    salesperson_id: Identifier
    share: Share = "1"
    salesperson_name: Text | None = None


class ReturnedLine(Fact, frozen=True):
    """What comes back of one order line; quantity and amount carry the sign of the sale."""

    line_no: int
    quantity: Amount
    amount: Amount


class OrderPlaced(Fact, frozen=True):
    """A customer ordered. No splits: nobody is credited, the order shows as unassigned."""

    ordered_on: date
    order_type: Identifier
    customer_id: Identifier
    currency: CurrencyCode
    lines: tuple[Line, ...]
    splits: tuple[Split, ...] = ()
    customer_name: Text | None = None


class OrderAmended(Fact, frozen=True):
    """Lines or header corrected, as of the placing date. What is left out stays; `lines` replaces all lines."""

    lines: tuple[Line, ...] | None = None
    ordered_on: date | None = None
    customer_id: Identifier | None = None
    customer_name: Text | None = None
    currency: CurrencyCode | None = None


class OrderReclassified(Fact, frozen=True):
    """The order is of another order type, as of its placing date."""

    order_type: Identifier


class OrderReassigned(Fact, frozen=True):
    """New splits for what is credited from `effective_from` on; the placing date makes it a correction."""

    effective_from: date
    splits: tuple[Split, ...]


class OrderReturned(Fact, frozen=True):
    """Part of the order came back."""

    returned_on: date
    lines: tuple[ReturnedLine, ...]


class OrderCancelled(Fact, frozen=True):
    """The rest of the order is reversed on `cancelled_on`; or, voided, all of it as of its own dates."""

    cancelled_on: date
    void: bool = False


class CustomerClassified(Fact, frozen=True):
    """A customer belongs to a class (such as house-account) on the days [effective_from, effective_to)."""

    customer_class: Identifier | None
    effective_from: date
    effective_to: date | None = None
    reason: Reason | None = None


class ProductCategorised(Fact, frozen=True):
    """A product belongs to a category on the days [effective_from, effective_to), whatever its order lines say."""

    category: Identifier | None
    effective_from: date
    effective_to: date | None = None
    reason: Reason | None = None


class SalespersonTeamed(Fact, frozen=True):
    """A salesperson belongs to a team on the days [effective_from, effective_to)."""

    team: Identifier | None
    effective_from: date
    effective_to: date | None = None
    reason: Reason | None = None


class SalespersonQuotaSet(Fact, frozen=True):
    """What a salesperson is to reach in a period, in one currency; null: no quota. The latest recorded holds."""

    period: Identifier
    currency: CurrencyCode
    amount: Amount | None
    reason: Reason | None = None


class Conditions(Fact, frozen=True):
    """What a counting rule names, most specific first; what is left out, the rule does not ask for."""

    product_id: Identifier | None = None
    category: Identifier | None = None
    customer_id: Identifier | None = None
    customer_class: Identifier | None = None
    salesperson_id: Identifier | None = None
    order_type: Identifier | None = None


class DefineOrderType(Fact, frozen=True, tag_field="action", tag="define_order_type"):
    """A new order type and the share at which it counts on every day that no rule says otherwise."""

    order_type: Identifier
    share: Share
    name: Text | None = None


class RenameOrderType(Fact, frozen=True, tag_field="action", tag="rename_order_type"):
    """Another name for people; the identifier stays."""

    order_type: Identifier
    name: Text


class RetireOrderType(Fact, frozen=True, tag_field="action", tag="retire_order_type"):
    """From that day on, no new order takes this type; orders that have it keep it and keep counting."""

    order_type: Identifier
    effective_from: date


class SetRule(Fact, frozen=True, tag_field="action", tag="set_rule"):
    """Orders matching these conditions count at this share on the days [effective_from, effective_to)."""

    conditions: Conditions
    share: Share
    effective_from: date
    effective_to: date | None = None


class EndRule(Fact, frozen=True, tag_field="action", tag="end_rule"):
    """On these days the rule with these conditions is as if it were not there: the next in precedence decides."""

    conditions: Conditions
    effective_from: date
    effective_to: date | None = None


Alteration = DefineOrderType | RenameOrderType | RetireOrderType | SetRule | EndRule


class ImpactSeen(Fact, frozen=True):
    """The impact of a rule change as somebody saw it: at which position, and the digest of its figures."""

    position: int
    digest: str


class RuleChangeProposed(Fact, frozen=True):
    """Somebody asks for a change of the rulebook; it changes nothing yet. Its proposer is the event's actor."""

    rule_change_id: Identifier
    alterations: tuple[Alteration, ...]
    reason: Reason
    reason_code: Identifier | None = None
    impact: ImpactSeen | None = None


class RuleChangeApproved(Fact, frozen=True):
    """The proposed alterations are in the rulebook from here on. The approver is the event's actor."""

    rule_change_id: Identifier
    four_eyes: bool
    reason: Reason | None = None
    impact: ImpactSeen | None = None


class RuleChangeRejected(Fact, frozen=True):
    """The proposed alterations will not be made, says somebody else than the proposer."""

    rule_change_id: Identifier
    reason: Reason


class RuleChangeWithdrawn(Fact, frozen=True):
    """The proposed alterations will not be made, says the proposer."""

    rule_change_id: Identifier
    reason: Reason | None = None


class StatementFigure(Fact, frozen=True):
    """A salesperson's frozen figures in one currency, exact: what is left out is 0. Null: the unassigned ones."""

    salesperson_id: Identifier | None
    currency: CurrencyCode
    credited: ExactAmount = "0"
    adjustments: ExactAmount = "0"
    gross: ExactAmount = "0"


class Statement(Fact, frozen=True):
    """The frozen performance of a closed period, as known at a position; `digest` is of its figures."""

    version: int
    position: int
    rulebook_position: int
    figures: tuple[StatementFigure, ...]
    digest: str


class PeriodClosed(Fact, frozen=True):
    """A period is closed with its first statement."""

    period: Identifier
    statement: Statement
    reason: Reason


class PeriodRestated(Fact, frozen=True):
    """A closed period has a new statement: what changed since the last one is resolved by it."""

    period: Identifier
    statement: Statement
    reason: Reason


class Adjustment(Fact, frozen=True):
    """What of a closed period's drift a salesperson is credited in an open period, in one currency, exact."""

    salesperson_id: Identifier | None
    currency: CurrencyCode
    credited: ExactAmount


class DriftCarriedForward(Fact, frozen=True):
    """A closed period's drift, as known at a position, is booked into an open period, on a day of it."""

    period: Identifier
    into_period: Identifier
    booked_on: date
    position: int
    adjustments: tuple[Adjustment, ...]
    digest: str
    reason: Reason


class FiscalYear(Fact, frozen=True):
    """A year of the fiscal calendar by the first days of its twelve months, and the first day after it."""

    name: str
    months_start: tuple[date, ...]
    end: date


class LedgerOpened(Fact, frozen=True):
    """The ledger's settings: fiscal years start in that month (1 to 12), business dates are of that time zone.

    Shape: `closes` says which periods are closed (month, quarter or year). A `calendar` gives fiscal years by their
    days (4-4-5 and the like); years that it does not name are of calendar months.
    """

    name: Text
    fiscal_year_starts_in: int = 1
    time_zone: str = "UTC"
    four_eyes: bool = False
    closes: str = "quarter"
    calendar: tuple[FiscalYear, ...] = ()


class SigningKeyIntroduced(Fact, frozen=True):
    """A key signs the ledger's checkpoints from here on; `endorsement` is a note by the key before, null for the first.

    Shape: `vkey` is the public key as notes name it; the endorsement's text is the origin, "next key", the vkey.
    """

    vkey: str
    endorsement: str | None = None


class CheckpointIssued(Fact, frozen=True):
    """The ledger of `size` events, with this Merkle root (base64), was signed: `note` is the whole signed note."""

    size: int
    root: str
    note: str


class CheckpointCosigned(Fact, frozen=True):
    """A witness, by its key, cosigned the checkpoint of `size` events; `signature` is the line below the note."""

    size: int
    witness: str
    signature: str


OrderEvent = OrderPlaced | OrderAmended | OrderReclassified | OrderReassigned | OrderReturned | OrderCancelled
RulebookEvent = RuleChangeProposed | RuleChangeApproved | RuleChangeRejected | RuleChangeWithdrawn
DatedFact = CustomerClassified | ProductCategorised | SalespersonTeamed
ReferenceFact = DatedFact | SalespersonQuotaSet
PeriodEvent = PeriodClosed | PeriodRestated | DriftCarriedForward
CheckpointEvent = SigningKeyIntroduced | CheckpointIssued | CheckpointCosigned
Event = OrderEvent | RulebookEvent | ReferenceFact | PeriodEvent | CheckpointEvent | LedgerOpened

TYPES: Final[dict[str, type[Event]]] = {
    "order.placed": OrderPlaced,
    "order.amended": OrderAmended,
    "order.reclassified": OrderReclassified,
    "order.reassigned": OrderReassigned,
    "order.returned": OrderReturned,
    "order.cancelled": OrderCancelled,
    "customer.classified": CustomerClassified,
    "product.categorised": ProductCategorised,
    "salesperson.teamed": SalespersonTeamed,
    "salesperson.quota_set": SalespersonQuotaSet,
    "rule_change.proposed": RuleChangeProposed,
    "rule_change.approved": RuleChangeApproved,
    "rule_change.rejected": RuleChangeRejected,
    "rule_change.withdrawn": RuleChangeWithdrawn,
    "period.closed": PeriodClosed,
    "period.restated": PeriodRestated,
    "period.carried_forward": DriftCarriedForward,
    "signing_key.introduced": SigningKeyIntroduced,
    "checkpoint.issued": CheckpointIssued,
    "checkpoint.cosigned": CheckpointCosigned,
    "ledger.opened": LedgerOpened,
}
NAMES: Final[dict[type[Event], str]] = {event: name for name, event in TYPES.items()}

# A stored name that is no longer written -> the name it became, and how its data reads there. Only ever added to.
UPCASTERS: Final[dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]] = {}


class Envelope(Struct, frozen=True, gc=False):
    """A stored event as one CloudEvents document; its JSON bytes are what is stored and hashed."""

    id: str
    source: str
    type: str
    subject: str
    version: int
    time: datetime
    effective: date
    actor: str
    data: msgspec.Raw
    specversion: str = "1.0"


class Recorded(Struct, frozen=True, gc=False):
    """An event as it was recorded. `subject` names its stream, `version` its place there, from 1."""

    position: int
    subject: str
    version: int
    event_id: str
    source: str
    actor: str
    recorded_at: datetime
    effective_on: date
    data: Event


_ENVELOPE = msgspec.json.Decoder(Envelope)
_DATA: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(
        msgspec.defstruct(f"Stored{event.__name__}", [("data", event)], namespace={"__doc__": None}, gc=False)
    )
    for name, event in TYPES.items()
}

encode = msgspec.json.Encoder().encode


def decode(name: str, state: bytes | str) -> Event:
    """Read the data of a stored event from its stored bytes, upcasting names of old.

    Errors: KeyError for a name this version does not know; msgspec.ValidationError for bytes that are not that event.
    Neither is ever skipped: whoever reads stops there.
    """
    decoder = _DATA.get(name)
    if decoder is None:
        return _upcast(name, state)
    event: Event = decoder.decode(state).data
    return event


def _upcast(name: str, state: bytes | str) -> Event:
    data = msgspec.json.decode(state)["data"]
    while name in UPCASTERS:
        name, upcast = UPCASTERS[name]
        data = upcast(data)
    return msgspec.convert(data, TYPES[name])


def read_envelope(state: bytes | str) -> Envelope:
    """Read a stored event's document, its data as it stands. Errors: msgspec.MsgspecError for what is not one."""
    return _ENVELOPE.decode(state)


def recorded(position: int, state: bytes | str) -> Recorded:
    """Read a stored event whole."""
    envelope = _ENVELOPE.decode(state)
    return Recorded(
        position=position,
        subject=envelope.subject,
        version=envelope.version,
        event_id=envelope.id,
        source=envelope.source,
        actor=envelope.actor,
        recorded_at=envelope.time,
        effective_on=envelope.effective,
        data=decode(envelope.type, state),
    )

"""A stored event: its document, and what the data of each type holds, field by field.

The document's bytes are what the ledger stored and hashed; this module reads them, as docs/events.md describes them,
and knows no more types and fields than that: what it does not know might be about figures.
"""

from dataclasses import dataclass
from typing import Any, Final

from verifier.decimals import AMOUNT_PATTERN, EXACT_PATTERN, SHARE_PATTERN
from verifier.findings import Malformed, shown
from verifier.merkle import leaf_hash
from verifier.shapes import (
    Shape,
    boolean,
    count,
    day,
    hash_text,
    instant,
    list_of,
    matching,
    nullable,
    number,
    object_of,
    one_of,
    parse_json,
    tagged,
    text,
)

amount: Final = matching(AMOUNT_PATTERN, "amount")
exact_amount: Final = matching(EXACT_PATTERN, "exact amount")
share: Final = matching(SHARE_PATTERN, "share")
digest: Final = matching(r"[0-9a-f]{64}", "digest")

_LINE = object_of(
    {"line_no": number, "product_id": text, "quantity": amount, "amount": amount},
    {"category": text, "product_name": text},
)
_SPLIT = object_of({"salesperson_id": text}, {"share": share, "salesperson_name": text})
_RETURNED_LINE = object_of({"line_no": number, "quantity": amount, "amount": amount})
_DAYS = {"effective_from": day}
_DAYS_OPTIONAL = {"effective_to": day}
_FACT_OPTIONAL = {"effective_to": day, "reason": text}

ATTRIBUTES: Final = ("product_id", "category", "customer_id", "customer_class", "salesperson_id", "order_type")
"""What a counting rule can ask for, in order of precedence."""

_CONDITIONS = object_of({}, dict.fromkeys(ATTRIBUTES, text))
_ACTION = {"action": text}
_ALTERATION = tagged(
    "action",
    {
        "define_order_type": object_of({**_ACTION, "order_type": text, "share": share}, {"name": text}),
        "rename_order_type": object_of({**_ACTION, "order_type": text, "name": text}),
        "retire_order_type": object_of({**_ACTION, "order_type": text, **_DAYS}),
        "set_rule": object_of({**_ACTION, "conditions": _CONDITIONS, "share": share, **_DAYS}, _DAYS_OPTIONAL),
        "end_rule": object_of({**_ACTION, "conditions": _CONDITIONS, **_DAYS}, _DAYS_OPTIONAL),
    },
)
_IMPACT = object_of({"position": count, "digest": text})

_FIGURE = object_of(
    {"salesperson_id": nullable(text), "currency": text},
    {"credited": exact_amount, "adjustments": exact_amount, "gross": exact_amount},
)
STATEMENT: Final = object_of(
    {"version": number, "position": count, "rulebook_position": count, "figures": list_of(_FIGURE), "digest": digest}
)
_STATED = object_of({"period": text, "statement": STATEMENT, "reason": text})
_ADJUSTMENT = object_of({"salesperson_id": nullable(text), "currency": text, "credited": exact_amount})
_FISCAL_YEAR = object_of({"name": matching(r"FY\d{4}", "fiscal year"), "months_start": list_of(day), "end": day})

TYPES: Final[dict[str, tuple[str, Shape]]] = {
    "order.placed": (
        "order/",
        object_of(
            {"ordered_on": day, "order_type": text, "customer_id": text, "currency": text, "lines": list_of(_LINE)},
            {"splits": list_of(_SPLIT), "customer_name": text},
        ),
    ),
    "order.amended": (
        "order/",
        object_of(
            {},
            {
                "lines": list_of(_LINE),
                "ordered_on": day,
                "customer_id": text,
                "customer_name": text,
                "currency": text,
            },
        ),
    ),
    "order.reclassified": ("order/", object_of({"order_type": text})),
    "order.reassigned": ("order/", object_of({"effective_from": day, "splits": list_of(_SPLIT)})),
    "order.returned": ("order/", object_of({"returned_on": day, "lines": list_of(_RETURNED_LINE)})),
    "order.cancelled": ("order/", object_of({"cancelled_on": day}, {"void": boolean})),
    "customer.classified": ("customer/", object_of({"customer_class": nullable(text), **_DAYS}, _FACT_OPTIONAL)),
    "product.categorised": ("product/", object_of({"category": nullable(text), **_DAYS}, _FACT_OPTIONAL)),
    "salesperson.teamed": ("salesperson/", object_of({"team": nullable(text), **_DAYS}, _FACT_OPTIONAL)),
    "salesperson.quota_set": (
        "salesperson/",
        object_of({"period": text, "currency": text, "amount": nullable(amount)}, {"reason": text}),
    ),
    "rule_change.proposed": (
        "rulebook",
        object_of(
            {"rule_change_id": text, "alterations": list_of(_ALTERATION), "reason": text},
            {"reason_code": text, "impact": _IMPACT},
        ),
    ),
    "rule_change.approved": (
        "rulebook",
        object_of({"rule_change_id": text, "four_eyes": boolean}, {"reason": text, "impact": _IMPACT}),
    ),
    "rule_change.rejected": ("rulebook", object_of({"rule_change_id": text, "reason": text})),
    "rule_change.withdrawn": ("rulebook", object_of({"rule_change_id": text}, {"reason": text})),
    "period.closed": ("periods", _STATED),
    "period.restated": ("periods", _STATED),
    "period.carried_forward": (
        "periods",
        object_of(
            {
                "period": text,
                "into_period": text,
                "booked_on": day,
                "position": count,
                "adjustments": list_of(_ADJUSTMENT),
                "digest": digest,
                "reason": text,
            }
        ),
    ),
    "ledger.opened": (
        "ledger",
        object_of(
            {"name": text},
            {
                "fiscal_year_starts_in": number,
                "time_zone": text,
                "four_eyes": boolean,
                "closes": one_of("month", "quarter", "year"),
                "calendar": list_of(_FISCAL_YEAR),
            },
        ),
    ),
    "signing_key.introduced": ("signing_keys", object_of({"vkey": text}, {"endorsement": text})),
    "checkpoint.issued": ("checkpoints", object_of({"size": count, "root": hash_text, "note": text})),
    "checkpoint.cosigned": ("checkpoints", object_of({"size": count, "witness": text, "signature": text})),
}
"""The types of events: the stream that each is in, and the shape of its data."""

ORDER_SUBJECT: Final = "order/"

_DOCUMENT = object_of(
    {
        "specversion": one_of("1.0"),
        "id": text,
        "source": text,
        "type": one_of(*TYPES),
        "subject": text,
        "version": number,
        "time": instant,
        "effective": day,
        "actor": text,
        "data": lambda _value, _at: None,
    }
)
_ROW = object_of({"position": number, "state": text})


@dataclass(frozen=True, slots=True)
class Leaf:
    """A row of events.ndjson: where it is, and the hash of what the ledger stored."""

    line: int
    position: int
    hash: bytes

    @property
    def where(self) -> str:
        """Say where it is."""
        return f"events.ndjson:{self.line} (position {self.position})"


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event, read."""

    line: int
    position: int
    id: str
    source: str
    type: str
    subject: str
    version: int
    time: str
    effective: str
    actor: str
    data: dict[str, Any]

    @property
    def where(self) -> str:
        """Say where it is."""
        return f"events.ndjson:{self.line} (position {self.position})"

    @property
    def owner_id(self) -> str:
        """Give what its stream is about, such as the order's id."""
        return self.subject.partition("/")[2]


def read_leaf(line: int, row: Any) -> tuple[Leaf, bytes]:
    """Read a row of events.ndjson: its leaf, and the bytes that the ledger stored. Errors: Malformed."""
    _ROW(row, "")
    try:
        stored = row["state"].encode("utf-8")
    except UnicodeError as error:
        raise Malformed("its state is not text in UTF-8") from error
    return Leaf(line, row["position"], leaf_hash(stored)), stored


def read_event(leaf: Leaf, stored: bytes) -> Event:
    """Read what was stored. Errors: Malformed."""
    document = parse_json(stored)
    _DOCUMENT(document, "")
    subject, shape = TYPES[document["type"]]
    if not (document["subject"].startswith(subject) if subject.endswith("/") else document["subject"] == subject):
        raise Malformed(f"{document['type']} is not of the stream {shown(document['subject'])}")
    shape(document["data"], "/data")
    names = ("id", "source", "type", "subject", "version", "time", "effective", "actor", "data")
    return Event(leaf.line, leaf.position, *(document[name] for name in names))

"""Examples of requests and answers for the OpenAPI document: made from the schemas, by the names of their fields.

A new type has an example without a line here, as long as its fields are called as others are. What a made-up example
would not show (a whole order, a rule change) is written out in BODIES; tests/test_openapi.py holds every example to its
schema, and sends the bodies.
"""

from collections.abc import Mapping
from typing import Any, Final

from api.exports import MEDIA_TYPES

Schema = Mapping[str, Any]

NAMED: Final[dict[str, Any]] = {
    "accepted_digest": "5c1f6f0f6ad6b5f0c1ba6e0c7a3e2f3e8fb4a1f3c4d5e6f708192a3b4c5d6e7f",
    "action": "set_rule",
    "actor": "finance-clerk",
    "address": "192.0.2.7",
    "approver": "finance-lead",
    "bom": False,
    "category": "drives",
    "channel": "http",
    "closed_periods": "2026-Q1",
    "code": "invalid_amount",
    "currency": "EUR",
    "cursor": "NzIzLjUw",
    "customer_class": "house-account",
    "customer_id": "C-100",
    "customer_name": "Müller GmbH",
    "detail": "lines/0: '12,50' is not a decimal of at most 13 digits and six decimals, such as '12.50'",
    "digest": "5c1f6f0f6ad6b5f0c1ba6e0c7a3e2f3e8fb4a1f3c4d5e6f708192a3b4c5d6e7f",
    "effective_from": "2026-01-01",
    "effective_to": "2027-01-01",
    "end": "2026-04-01",
    "event_id": "2026-03-10-0001",
    "from": "2026-01-01",
    "from_period": "2026-Q1",
    "group_by": "salesperson",
    "hashes": "qFJ8ZxvTjVWXUeGyMTa5Yo3tcgCFcxOplJNpXN9bZ5E=",
    "id": "2026-03-10-0001",
    "into": "2026-Q2",
    "into_period": "2026-Q2",
    "kind": "order",
    "known_at": "2026-04-01T08:00:00Z",
    "leaf_hash": "qFJ8ZxvTjVWXUeGyMTa5Yo3tcgCFcxOplJNpXN9bZ5E=",
    "name": "Standard order",
    "next_cursor": None,
    "note": "orderledger\n723\nqFJ8ZxvTjVWXUeGyMTa5Yo3tcgCFcxOplJNpXN9bZ5E=\n\n— orderledger+5f3a2b1c AAAA…\n",
    "old_root": "qFJ8ZxvTjVWXUeGyMTa5Yo3tcgCFcxOplJNpXN9bZ5E=",
    "order_id": "SO-7",
    "order_type": "standard",
    "outcome": "approved",
    "period": "2026-Q1",
    "period_id": "2026-Q1",
    "periods": "2026-Q1",
    "pointer": "/data/lines/0/amount",
    "position": 12,
    "principal": "finance-clerk",
    "product_id": "P-7",
    "product_name": "Drive 10",
    "proposer": "rules-clerk",
    "reason": "as agreed with sales",
    "reason_code": "policy",
    "request_id": "0198c0de-0000-7000-8000-000000000001",
    "root": "qFJ8ZxvTjVWXUeGyMTa5Yo3tcgCFcxOplJNpXN9bZ5E=",
    "rule_change_id": "RC-7",
    "salesperson_id": "ann",
    "salesperson_name": "Ann",
    "signature": "— witness+1a2b3c4d AAAA…",
    "size": 12,
    "source": "shop",
    "specversion": "1.0",
    "start": "2026-01-01",
    "state": "closed",
    "status": 200,
    "subject": "order/SO-7",
    "team": "north",
    "to": "2026-04-01",
    "type": "order.placed",
    "version": 1,
    "vkeys": "orderledger+5f3a2b1c+AQ…",
    "witness": "witness+1a2b3c4d+BA…",
}
"""What is shown for a field or a parameter of that name, where its own schema has no example."""
FORMATS: Final = {"date": "2026-03-31", "date-time": "2026-04-01T08:00:00Z", "binary": "…"}
TYPES: Final[dict[str, Any]] = {"string": "text", "integer": 1, "number": 1, "boolean": True, "null": None}

_SPLIT_ORDER: Final = {
    "type": "order.placed",
    "source": "shop",
    "event_id": "2026-03-10-0001",
    "order_id": "SO-7",
    "data": {
        "ordered_on": "2026-03-10",
        "order_type": "standard",
        "customer_id": "C-100",
        "customer_name": "Müller GmbH",
        "currency": "EUR",
        "lines": [{"line_no": 1, "product_id": "P-7", "quantity": "4", "amount": "12.50", "category": "drives"}],
        "splits": [{"salesperson_id": "ann", "share": "0.5"}, {"salesperson_id": "bob", "share": "0.5"}],
    },
}
_CANCELLED: Final = {
    "type": "order.cancelled",
    "source": "shop",
    "event_id": "2026-04-02-0007",
    "order_id": "SO-7",
    "data": {"cancelled_on": "2026-04-02"},
}
_HALVED: Final = {
    "action": "set_rule",
    "conditions": {"product_id": "P-7"},
    "share": "0.5",
    "effective_from": "2026-01-01",
}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "post_order_event": {"placed": _SPLIT_ORDER, "cancelled": _CANCELLED},
    "post_order_events": {
        "all or none": {"events": [_SPLIT_ORDER, _CANCELLED], "mode": "atomic"},
        "each that can be": {"events": [_SPLIT_ORDER], "mode": "per_item"},
    },
    "post_rule_change": {"for the past too": {"alterations": [_HALVED], "reason": "as agreed with sales"}},
    "post_simulation": {
        "another rule": {"periods": ["2026-Q1"], "alterations": [_HALVED]},
        "a rule change left out": {"periods": ["2026-Q1"], "without": ["RC-7"], "group_by": ["customer"]},
    },
    "put_quota": {"quota": {"currency": "EUR", "amount": "250000.00"}},
    "post_approval": {"as proposed": {}, "with a reason": {"reason": "seen and agreed"}},
    "post_withdrawal": {"without a reason": {}},
}
"""Bodies that show more than a made-up one, by operation and by what is special about them."""
FILES: Final[dict[str, str]] = {
    MEDIA_TYPES["csv"]: "order;date;type;customer;product;qty;amount;currency;seller\n"
    "SO-8;31.03.2026;standard;C-100;P-7;4;1.012,50;EUR;ann\n",
    MEDIA_TYPES["ndjson"]: '{"order": "SO-8", "date": "2026-03-31", "type": "standard", "customer": "C-100",'
    ' "product": "P-7", "qty": 4, "amount": "1012.50", "currency": "EUR", "seller": "ann"}\n',
}
"""Files of orders, by media type; a workbook can't be shown in a document."""


def bodies(operation: str, schema: Schema, schemas: Schema) -> dict[str, Any]:
    """Give examples of an operation's body."""
    written = BODIES.get(operation) or {"example": example(schema, schemas, required_only=True)}
    return {name: {"value": value} for name, value in written.items()}


def files(media_type: str) -> dict[str, Any]:
    """Give the example of a file, if there is one."""
    return {"a line of an order": {"value": FILES[media_type]}} if media_type in FILES else {}


def example(schema: Schema, schemas: Schema, name: str = "", *, required_only: bool = False) -> Any:
    """Make an example of a schema, for a field of that name; `schemas` are the document's."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas, name, required_only=required_only)
    if "examples" in schema:
        return schema["examples"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _chosen(schema[choice], schemas, name, required_only=required_only)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return _object(schema, schemas, required_only=required_only)
        case "array":
            items = schema.get("items") or {}
            return [example(items, schemas, name, required_only=required_only)] if items else []
    return _scalar(schema, name)


def _chosen(choices: list[Schema], schemas: Schema, name: str, *, required_only: bool) -> Any:
    if name in NAMED and NAMED[name] is None and {"type": "null"} in choices:
        return None
    shown = next(choice for choice in choices if choice.get("type") != "null")
    return example(shown, schemas, name, required_only=required_only)


def _object(schema: Schema, schemas: Schema, *, required_only: bool) -> dict[str, Any]:
    parts: Schema = schema.get("properties", {})
    shown = [name for name in parts if not required_only or name in schema.get("required", ())]
    made = {name: example(parts[name], schemas, name, required_only=required_only) for name in shown}
    values = schema.get("additionalProperties")
    return made or ({"salesperson": example(values, schemas, "salesperson_id")} if values else {})


def _scalar(schema: Schema, name: str) -> Any:
    kind = schema.get("type", "object")
    named = NAMED.get(name)
    fits = {"string": str, "integer": int, "boolean": bool}.get(kind)
    if fits is not None and isinstance(named, fits):
        return named
    return FORMATS.get(schema.get("format", ""), TYPES.get(kind, {}))

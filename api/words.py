"""Words that sentences and tables are filled with, and that have a translation: states, things, columns."""

from typing import Final

from ledger.wording import Sentence, say

WORDS: Final = (
    *("open", "closed", "proposed", "approved", "rejected", "withdrawn"),
    *("customer", "product", "salesperson", "customer_class", "category", "team"),
    *("month", "quarter", "year"),
    "database",
)

HEADINGS: Final = (
    *("action", "actor", "actual", "address", "adjustments", "after", "alterations", "amount", "at"),
    *("attainment", "attempt", "before", "by", "carried_out", "category", "change", "closed_periods"),
    *("conditions", "created", "credited", "credited_on", "currency", "current", "customer"),
    *("customer_class", "customer_id", "days_back", "days_back_dated", "decided_by", "detail", "drift"),
    *("effective_on", "endorsed", "event_types", "examples", "expires", "finding", "findings", "from"),
    *("gross", "gross_orders", "holds", "id", "into", "key", "kind", "kinds", "last_used", "line_no"),
    *("message_id", "milliseconds", "month", "moves", "name", "of", "on", "order", "order_type", "orders"),
    *("outcome", "people", "period", "position", "principal", "product", "product_category", "product_id"),
    *("proposed_at", "proposer", "quantity", "quota", "reason", "reason_code", "recorded", "recorded_at"),
    *("retired_from", "revoked", "roles", "rule", "rule_change", "rule_change_id", "salesperson"),
    *("salesperson_id", "settled", "share", "simulated", "simulated_orders", "state", "statement", "status"),
    *("subject", "team", "times", "to", "token", "total", "type", "url", "vkey", "waiting", "what", "when", "who"),
)
"""The columns of the command line's tables."""

PHRASES: Final[dict[str, Sentence]] = {
    "product_id": say("product"),
    "category": say("product category"),
    "product_category": say("product category"),
    "customer_id": say("customer"),
    "customer_class": say("customer class"),
    "salesperson_id": say("salesperson"),
    "order_type": say("order type"),
    "carried_out": say("carried out"),
}
"""What pages call a field or an attribute, where its code is not a word."""

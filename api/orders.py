"""GET an order: as it is, or as it was at a position; and its events."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from flask import Response

from api.access import READERS, allow, path_identifier
from api.answers import answer, order_answer
from api.exports import Column, Kind, Table, asked_export, cells, columns
from api.queries import KnownAtQuery, ListQuery, recorded_position
from api.routes import Routes
from api.shapes import OrderAnswer, OrderEvents
from ledger import orders
from ledger.checks import shown
from ledger.events import Envelope
from ledger.refusal import Code, Refusal
from ledger.store import Store, StoredDocument
from ledger.wording import say

_EVENT: Final = columns(
    specversion=Kind.text,
    id=Kind.text,
    source=Kind.text,
    type=Kind.text,
    subject=Kind.text,
    version=Kind.integer,
    time=Kind.instant,
    effective=Kind.day,
    actor=Kind.text,
    data=Kind.structure,
)
_ENVELOPE = msgspec.json.Decoder(Envelope)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("orders", __name__, description="Orders and their history.")

    @routes.get("/orders/<path:order_id>")
    @routes.query(KnownAtQuery)
    @routes.answers(200, OrderAnswer)
    @routes.refuses(Code.order_not_found)
    @allow("ingest", *READERS)
    def get_order(query: dict[str, Any], order_id: str) -> Response:
        """Give an order as its events left it."""
        position = recorded_position(store, query)
        subject = orders.subject(path_identifier(order_id))
        events = [event for event in store.stream(subject) if position is None or event.position <= position]
        order = orders.fold(events)
        if order is None:
            raise _not_found(order_id)
        return answer(order_answer(order_id, order, len(events), events[-1].position))

    @routes.get("/orders/<path:order_id>/events")
    @routes.query(ListQuery)
    @routes.answers(200, OrderEvents)
    @routes.exports()
    @routes.refuses(Code.order_not_found)
    @allow("ingest", *READERS)
    def get_order_events(query: dict[str, Any], order_id: str) -> Response:
        """Give an order's events as recorded, oldest first; up to a position, if one is given."""
        export, position = asked_export(query), recorded_position(store, query)
        stored = store.stream_documents(orders.subject(path_identifier(order_id)))
        documents = [each for each in stored if position is None or each.position <= position]
        if not documents:
            raise _not_found(order_id)
        if export is not None:
            return export.answered([events_table(documents)], f"order-events-{order_id}", documents[-1].position)
        return answer(OrderEvents([msgspec.Raw(document.cloud_event()) for document in documents]))

    return routes


def events_table(documents: Iterable[StoredDocument]) -> Table:
    """Give events as a table; `sequence` is the position, and `data` is as it was recorded."""
    rows = ((each.position, *cells(_EVENT, _ENVELOPE.decode(each.state))) for each in documents)
    return Table("events", (Column("sequence", Kind.integer), *_EVENT), rows)


def _not_found(order_id: str) -> Refusal:
    return Refusal.of(
        Code.order_not_found, say("order {order_id} is not in the ledger: check the order_id", order_id=shown(order_id))
    )

"""GET an order: as it is, or as it was at a position; and its events."""

from typing import Any

import msgspec
from flask import Response

from api.access import READERS, allow, path_identifier
from api.answers import OrderAnswer, OrderEvents, answer, order_answer
from api.queries import KnownAtQuery, recorded_position
from api.routes import Routes
from ledger import orders
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.store import Store


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("orders", __name__, description="Orders and their history.")

    @routes.get("/orders/<path:order_id>")
    @routes.query(KnownAtQuery)
    @routes.answers(200, OrderAnswer)
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
    @routes.answers(200, OrderEvents)
    @allow("ingest", *READERS)
    def get_order_events(order_id: str) -> Response:
        """Give an order's events as recorded, oldest first."""
        documents = store.stream_documents(orders.subject(path_identifier(order_id)))
        if not documents:
            raise _not_found(order_id)
        return answer(OrderEvents([msgspec.Raw(document.cloud_event()) for document in documents]))

    return routes


def _not_found(order_id: str) -> Refusal:
    return Refusal.of(Code.order_not_found, f"order {shown(order_id)} is not in the ledger: check the order_id")

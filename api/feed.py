"""GET the events: each by its position, or all in the one order, as a CloudEvents batch, with a bounded long poll."""

from collections.abc import Callable
from typing import Any

from flask import Response, request

from api.access import READERS, allow
from api.preferences import APPLIED_HEADER, WAIT_PARAMETER, preferred_wait
from api.queries import EventsQuery
from api.routes import Routes, noting
from ledger.events import Envelope
from ledger.refusal import Code, Refusal
from ledger.store import POSITION_MAX, Store
from ledger.wording import say

MEDIA_TYPE = "application/cloudevents-batch+json"
ONE_MEDIA_TYPE = "application/cloudevents+json"


def blueprint(store: Store, is_stopping: Callable[[], bool]) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("events", __name__, description="Everything that was recorded, in order.")

    @routes.get("/events")
    @routes.query(EventsQuery)
    @routes.answers(200, list[Envelope], "A CloudEvents batch; `sequence` is the position.", MEDIA_TYPE)
    @noting("request_headers", (WAIT_PARAMETER,))
    @allow("auditor", "finance")
    def get_events(query: dict[str, Any]) -> Response:
        """Give the events behind a position, none left out and none twice; wait for one if there is none."""
        preferred = None if "wait" in request.args else preferred_wait()
        seconds = query["wait"] if preferred is None else preferred
        documents = store.documents(query["after"], query["limit"])
        if not documents and seconds:
            milliseconds = seconds * 1000
            documents = store.documents_soon(
                query["after"], query["limit"], milliseconds=milliseconds, is_stopping=is_stopping
            )
        body = b"[" + b",".join(document.cloud_event() for document in documents) + b"]"
        applied = {} if preferred is None else {APPLIED_HEADER: f"wait={preferred}"}
        return Response(body, mimetype=MEDIA_TYPE, headers=applied)

    @routes.get("/events/<int:event_position>")
    @routes.answers(200, Envelope, "A CloudEvents document; `sequence` is the position.", ONE_MEDIA_TYPE)
    @allow(*READERS)
    def get_event(event_position: int) -> Response:
        """Give the event at a position.

        Without its last member, `sequence`, the answer is the bytes that were recorded and that proofs are of.
        """
        found = store.documents_at([event_position]) if event_position <= POSITION_MAX else []
        if not found:
            sentence = say(
                "there is no event at {position}: the ledger is at position {head}, see GET /v1/events",
                position=event_position,
                head=store.head(),
            )
            raise Refusal.of(Code.not_found, sentence)
        return Response(found[0].cloud_event(), mimetype=ONE_MEDIA_TYPE)

    return routes

"""GET the events: each by its position, or all in the one order, as a CloudEvents batch, with a bounded long poll.

A request that waits holds a thread, so that only some of a process's wait at once; one more is answered as it is.
"""

from collections.abc import Callable
from threading import BoundedSemaphore
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


def blueprint(store: Store, is_stopping: Callable[[], bool], *, waiting_max: int) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("events", __name__, description="Everything that was recorded, in order.")
    places = BoundedSemaphore(waiting_max)

    @routes.get("/events")
    @routes.query(EventsQuery)
    @routes.answers(200, list[Envelope], "A CloudEvents batch; `sequence` is the position.", MEDIA_TYPE)
    @routes.refuses(Code.position_ahead)
    @noting("request_headers", (WAIT_PARAMETER,))
    @allow("auditor", "finance")
    def get_events(query: dict[str, Any]) -> Response:
        """Give the events behind a position, none left out and none twice; wait for one if there is none.

        Where many requests wait already, it is answered at once, without Preference-Applied: pause before the next one.
        """
        preferred = None if "wait" in request.args else preferred_wait()
        seconds = query["wait"] if preferred is None else preferred
        documents = store.documents(query["after"], query["limit"])
        if not documents:
            store.check_recorded(query["after"], "/after")
        if not documents and seconds:
            if places.acquire(blocking=False):
                try:
                    documents = store.documents_soon(
                        query["after"], query["limit"], milliseconds=seconds * 1000, is_stopping=is_stopping
                    )
                finally:
                    places.release()
            else:
                preferred = None
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
                "there is no event at {position}: the ledger is at position {head}",
                position=event_position,
                head=store.head(),
            )
            raise Refusal.of(Code.not_found, sentence)
        return Response(found[0].cloud_event(), mimetype=ONE_MEDIA_TYPE)

    return routes

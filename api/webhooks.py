"""Webhooks: whom the ledger tells by itself of what is recorded. Whoever makes one needs no right to read figures."""

from typing import Any

import msgspec
from flask import Response

from api.access import allow, principal
from api.access_log import request_entry
from api.answers import answer
from api.bodies import read_body
from api.idempotency import keyed, note_key
from api.preferences import told_in_full
from api.queries import DeliveriesQuery, read_cursor, write_cursor
from api.routes import Routes
from api.shapes import (
    Deliveries,
    DeliveryAnswer,
    ReplayAnswer,
    ReplayRequest,
    WebhookAnswer,
    WebhookRequest,
    Webhooks,
    WebhookSecret,
)
from api.webhook_dispatcher import attempted
from api.webhook_messages import trial_message
from api.webhook_sender import Sender
from ledger import access_log, webhooks
from ledger.checks import is_identifier
from ledger.database import Cursor
from ledger.refusal import Code
from ledger.store import POSITION_MAX, Store, count_recorded_in
from ledger.webhooks import DISABLED, Asked, Delivery, Endpoint

_REQUEST = msgspec.json.Decoder(WebhookRequest)
_REPLAY = msgspec.json.Decoder(ReplayRequest)


def blueprint(store: Store, sender: Sender) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("webhooks", __name__, description="Webhooks: whom the ledger tells of what is recorded.")
    _add_making(routes, store, sender)
    _add_reading(routes, store)
    _add_switching(routes, store)
    _add_secrets_and_replays(routes, store)
    _add_trying(routes, store, sender)
    return routes


def _add_making(routes: Routes, store: Store, sender: Sender) -> None:
    @routes.post("/webhooks")
    @routes.takes(WebhookRequest)
    @routes.answers(201, WebhookSecret, "Made; the secret is shown this once.")
    @routes.refuses(Code.invalid_url, Code.too_many_webhooks)
    @routes.leads_to(201, "get_webhook", webhook_id="$response.body#/webhook/id")
    @routes.leads_to(201, "get_deliveries", webhook_id="$response.body#/webhook/id")
    @routes.leads_to(201, "post_test", webhook_id="$response.body#/webhook/id")
    @routes.leads_to(201, "post_disable", webhook_id="$response.body#/webhook/id")
    @routes.leads_to(201, "post_enable", webhook_id="$response.body#/webhook/id")
    @routes.leads_to(201, "post_rotate_secret", webhook_id="$response.body#/webhook/id")
    @routes.leads_to(201, "delete_webhook", webhook_id="$response.body#/webhook/id")
    @told_in_full
    @keyed(store)
    @allow("admin")
    def post_webhook() -> Response:
        """Make a webhook: from now on, or from a position on, its URL is told of these events.

        Repeated with its Idempotency-Key it makes no other, and the answer has no secret: whoever never heard the first
        answer rotates the secret under another key.
        """
        asked = Asked(**msgspec.structs.asdict(read_body(_REQUEST)))
        head = store.head()
        webhooks.check_asked(asked, sender.reach, head=head)
        with store.database.transaction() as cursor:
            made = webhooks.create_in(cursor, asked, head=head, now=store.clock(), creator=principal())
            _log_change(store, cursor, "create", made.id)
            told = webhook_answer(cursor, made)
            note_key(cursor, answer(WebhookSecret(None, told), 201))
        return answer(WebhookSecret(made.secret, told), 201)

    @routes.delete("/webhooks/<webhook_id>")
    @routes.answers_nothing("Deleted, with the record of its deliveries.")
    @allow("admin")
    def delete_webhook(webhook_id: str) -> Response:
        """Delete a webhook: its URL is told nothing more."""
        with store.database.transaction() as cursor:
            webhooks.delete_in(cursor, _id(webhook_id))
            _log_change(store, cursor, "delete", webhook_id)
        return Response(status=204)


def _add_reading(routes: Routes, store: Store) -> None:
    @routes.get("/webhooks")
    @routes.answers(200, Webhooks)
    @routes.leads_to(200, "get_webhook", webhook_id="$response.body#/webhooks/0/id")
    @allow("admin")
    def get_webhooks() -> Response:
        """List the webhooks, each with its state and position; without their secrets."""
        found = webhooks.list_endpoints(store.database)
        with store.database.cursor() as cursor:
            told = [webhook_answer(cursor, each) for each in found]
        return answer(Webhooks(store.head(), told))

    @routes.get("/webhooks/<webhook_id>")
    @routes.answers(200, WebhookAnswer)
    @allow("admin")
    def get_webhook(webhook_id: str) -> Response:
        """Give a webhook with its state, its position, how many events wait, and its last attempt."""
        found = find_webhook(store, webhook_id)
        with store.database.cursor() as cursor:
            return answer(webhook_answer(cursor, found))

    @routes.get("/webhooks/<webhook_id>/deliveries")
    @routes.query(DeliveriesQuery)
    @routes.answers(200, Deliveries)
    @allow("admin")
    def get_deliveries(query: dict[str, Any], webhook_id: str) -> Response:
        """Give a webhook's attempts and what became of each, the last one first; the last 500 are kept."""
        endpoint, limit = find_webhook(store, webhook_id), query["limit"]
        before = read_cursor(query["cursor"], 1)[0] if "cursor" in query else None
        found = webhooks.read_deliveries(store.database, endpoint.id, before=before, limit=limit + 1)
        page = found[:limit]
        next_cursor = write_cursor(page[-1].number) if len(found) > limit else None
        return answer(Deliveries([delivery_answer(each) for each in page], next_cursor))


def _add_switching(routes: Routes, store: Store) -> None:
    @routes.post("/webhooks/<webhook_id>/enable")
    @routes.answers(200, WebhookAnswer, "It is active.")
    @told_in_full
    @allow("admin")
    def post_enable(webhook_id: str) -> Response:
        """Let a webhook go on where it stopped, at once and with all tries."""
        with store.database.transaction() as cursor:
            webhooks.enable_in(cursor, _id(webhook_id))
            _log_change(store, cursor, "enable", webhook_id)
            return answer(webhook_answer(cursor, webhooks.held_in(cursor, webhook_id)))

    @routes.post("/webhooks/<webhook_id>/disable")
    @routes.answers(200, WebhookAnswer, "It is disabled, and stays where it is.")
    @told_in_full
    @allow("admin")
    def post_disable(webhook_id: str) -> Response:
        """Let a webhook stop where it is; enabled again, it goes on there and misses nothing."""
        with store.database.transaction() as cursor:
            webhooks.disable_in(cursor, _id(webhook_id), f"{DISABLED} by {principal()}")
            _log_change(store, cursor, "disable", webhook_id)
            return answer(webhook_answer(cursor, webhooks.held_in(cursor, webhook_id)))


def _add_secrets_and_replays(routes: Routes, store: Store) -> None:
    @routes.post("/webhooks/<webhook_id>/rotate-secret")
    @routes.answers(200, WebhookSecret, "The new secret, shown this once.")
    @told_in_full
    @keyed(store)
    @allow("admin")
    def post_rotate_secret(webhook_id: str) -> Response:
        """Give a webhook another secret; the one before signs too for 24 hours.

        Repeated with its Idempotency-Key it gives no other, and the answer has no secret: whoever never heard the first
        answer rotates again under another key.
        """
        with store.database.transaction() as cursor:
            secret = webhooks.rotate_in(cursor, _id(webhook_id), now=store.clock())
            _log_change(store, cursor, "rotate-secret", webhook_id)
            told = webhook_answer(cursor, webhooks.held_in(cursor, webhook_id))
            note_key(cursor, answer(WebhookSecret(None, told)))
        return answer(WebhookSecret(secret, told))

    @routes.post("/webhooks/<webhook_id>/replay")
    @routes.takes(ReplayRequest)
    @routes.answers(200, WebhookAnswer, "It is delivered again, before anything new.")
    @told_in_full
    @keyed(store)
    @allow("admin")
    def post_replay(webhook_id: str) -> Response:
        """Deliver events again that a webhook was told of before, in order and under the same message ids."""
        asked = read_body(_REPLAY)
        with store.database.transaction() as cursor:
            webhooks.replay_in(cursor, _id(webhook_id), asked.from_position, asked.to_position)
            _log_change(store, cursor, "replay", webhook_id)
            response = answer(webhook_answer(cursor, webhooks.held_in(cursor, webhook_id)))
            note_key(cursor, response)
        return response


def _add_trying(routes: Routes, store: Store, sender: Sender) -> None:
    @routes.post("/webhooks/<webhook_id>/test")
    @routes.answers(200, DeliveryAnswer, "What became of it; also a failure is answered so.")
    @told_in_full
    @keyed(store)
    @allow("admin")
    def post_test(webhook_id: str) -> Response:
        """Send a message of the type webhook.test, in whatever state the webhook is; it moves nothing."""
        endpoint, now = find_webhook(store, webhook_id), store.clock()
        outgoing = trial_message(endpoint, now=now, requested_by=principal())
        _, delivery = attempted(sender, endpoint, outgoing, now=now, position=None, attempt=1)
        response = answer(delivery_answer(delivery))
        with store.database.transaction() as cursor:
            webhooks.note_test_in(cursor, delivery)
            note_key(cursor, response)
        return response


def find_webhook(store: Store, webhook_id: str) -> Endpoint:
    """Give a webhook. Errors: Refusal (webhook_not_found)."""
    found = webhooks.find_endpoint(store.database, _id(webhook_id))
    if found is None:
        raise webhooks.not_found(webhook_id)
    return found


def webhook_answer(cursor: Cursor, endpoint: Endpoint) -> WebhookAnswer:
    """Tell a webhook as the caller's transaction sees it, without its secrets."""
    last = webhooks.read_deliveries_in(cursor, endpoint.id, before=None, limit=1)
    waiting = count_recorded_in(cursor, endpoint.position, POSITION_MAX, endpoint.event_types)
    replay = None
    if endpoint.replay_after is not None and endpoint.replay_until is not None:
        waiting += count_recorded_in(cursor, endpoint.replay_after, endpoint.replay_until, endpoint.event_types)
        replay = ReplayAnswer(endpoint.replay_after + 1, endpoint.replay_until)
    return WebhookAnswer(
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        event_types=endpoint.event_types,
        state=endpoint.state,
        state_reason=endpoint.state_reason,
        position=endpoint.position,
        waiting=waiting,
        replay=replay,
        failures=endpoint.failures,
        next_attempt_at=endpoint.next_attempt_at,
        last_attempt=delivery_answer(last[0]) if last else None,
        previous_secret_until=endpoint.previous_secret_until,
        created_at=endpoint.created_at,
        created_by=endpoint.created_by,
    )


def delivery_answer(delivery: Delivery) -> DeliveryAnswer:
    """Tell an attempt."""
    told = {name: value for name, value in vars(delivery).items() if name != "endpoint_id"}
    return DeliveryAnswer(**told)


def _id(webhook_id: str) -> str:
    if not is_identifier(webhook_id):
        raise webhooks.not_found(webhook_id)
    return webhook_id


def _log_change(store: Store, cursor: Cursor, what: str, webhook_id: str) -> None:
    subject = f"{what} webhook {webhook_id}"
    entry = request_entry(access_log.WEBHOOK_CHANGED, access_log.DONE, subject, store.clock())
    access_log.append(cursor, entry)

"""The dispatcher: delivers what is recorded to the webhook endpoints, each from its own position in the ledger.

A side effect beside the ledger and no projection: it reads events and endpoints, sends, and then notes how far it
came. What it sent and could not note, it sends again, under the same id: at least once, in the order of positions, and
nothing is skipped. One dispatcher is active among the processes of the service, by an advisory lock that it holds until
what it began is over; the others stand by. Each endpoint has a thread of its own while it is delivered to, so none
waits for another's receiver.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Final

import psycopg2

from api.webhook_messages import Outgoing, event_message, signed_headers
from api.webhook_sender import Attempt, Sender
from ledger import webhooks
from ledger.database import await_lead, wait_for_notification
from ledger.sequencer import CHANNEL
from ledger.store import Store
from ledger.webhooks import DELIVERED, DISABLED, ENDPOINTS_MAX, FAILING, GONE, Delivery, Endpoint
from ledger.wording import instant_text

RETRY_SECONDS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long after a failed attempt the next one is made, at the earliest; after the last there is none."""
ATTEMPTS_MAX: Final = len(RETRY_SECONDS) + 1
JITTER_PARTS: Final = 5
"""A wait is longer by up to a fifth, so that receivers are not asked by many at the same moment."""
_ACTIVE_LOCK = 7_305_817_106
_IDLE_MILLISECONDS = 500
_GATHER_MILLISECONDS = 200
"""How long after a look the next one is at the earliest: orders that keep coming must not make this busy."""
_log = logging.getLogger("orderledger.webhooks")


class Dispatcher:
    """Delivers one ledger's events to its endpoints: `run` in a thread of the service."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        *,
        jitter: Callable[[int], int] = secrets.randbelow,
        observe: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._jitter = jitter
        self._observe = observe
        self._looked = dict[str, tuple[int, int]]()

    def run(self, stopped: threading.Event) -> None:
        """Deliver until stopped; stand by while another dispatcher is active."""
        while not stopped.is_set():
            try:
                self._follow(stopped)
            except psycopg2.Error as error:
                _log.warning("the database does not answer, the dispatcher tries again: %s", str(error).strip())
                stopped.wait(1)
            except Exception:  # noqa: BLE001 - whatever it is, it is told, and no endpoint is forgotten for it
                _log.exception("the dispatcher failed and tries again")
                stopped.wait(1)

    def deliver_due(self) -> int:
        """Deliver all that is due, one endpoint after the other; give the number of attempts."""
        attempts = 0
        for endpoint in webhooks.list_endpoints(self._store.database):
            while self.deliver_next(endpoint.id):
                attempts += 1
        return attempts

    def deliver_next(self, endpoint_id: str) -> bool:
        """Make the next attempt at an endpoint if one is due; say whether one was made."""
        endpoint = webhooks.find_endpoint(self._store.database, endpoint_id)
        if endpoint is None or not endpoint.is_due(self._store.clock()):
            return False
        event = self._next_event(endpoint)
        if event is None:
            return False
        outgoing, position = event
        attempt, delivery = attempted(
            self._sender, endpoint, outgoing, now=self._store.clock(), position=position, attempt=endpoint.failures + 1
        )
        self._observe(attempt.outcome)
        if attempt.outcome == DELIVERED:
            webhooks.note_delivered(self._store.database, endpoint, delivery)
        else:
            self._note_failure(endpoint, attempt, delivery)
        return True

    def _next_event(self, endpoint: Endpoint) -> tuple[Outgoing, int] | None:
        head = self._store.head()
        after, until = endpoint.next_range(head)
        if endpoint.replay_after is None:  # what was looked through before is not looked through again
            position, looked = self._looked.get(endpoint.id, (0, 0))
            after = looked if position == endpoint.position and looked > after else after
        event = self._store.next_recorded(after, until, endpoint.event_types) if after < until else None
        if event is not None:
            return event_message(endpoint, event), event.position
        if endpoint.replay_after is None:
            self._looked[endpoint.id] = (endpoint.position, until)
            return None
        webhooks.end_replay(self._store.database, endpoint)
        following = webhooks.find_endpoint(self._store.database, endpoint.id)
        return None if following is None or following.replay_after is not None else self._next_event(following)

    def _note_failure(self, endpoint: Endpoint, attempt: Attempt, delivery: Delivery) -> None:
        database, told = self._store.database, f"webhook {endpoint.id}, position {delivery.position}: {attempt.detail}"
        if attempt.outcome == GONE:
            webhooks.note_failed(database, delivery, retry_at=None, state=DISABLED, reason=attempt.detail)
            _log.warning("%s; it is disabled", told)
        elif delivery.attempt >= ATTEMPTS_MAX:
            reason = f"all {ATTEMPTS_MAX} tries at position {delivery.position} failed, the last: {attempt.detail}"
            webhooks.note_failed(database, delivery, retry_at=None, state=FAILING, reason=reason)
            _log.error("%s; that was the last try, it stops until somebody enables it", told)
        else:
            retry_at = self._retry_at(attempt, delivery)
            webhooks.note_failed(database, delivery, retry_at=retry_at)
            _log.warning(
                "%s; try %s of %s, the next at %s", told, delivery.attempt, ATTEMPTS_MAX, instant_text(retry_at)
            )

    def _retry_at(self, attempt: Attempt, delivery: Delivery) -> datetime:
        seconds = RETRY_SECONDS[delivery.attempt - 1]
        seconds = max(seconds + self._jitter(seconds // JITTER_PARTS + 1), attempt.retry_after_seconds or 0)
        return self._store.clock() + timedelta(seconds=seconds)

    def _follow(self, stopped: threading.Event) -> None:
        listening = self._store.database.connect()
        lost = threading.Event()
        running = dict[str, Future[None]]()
        pool = ThreadPoolExecutor(ENDPOINTS_MAX, thread_name_prefix="webhook")
        try:
            with listening.cursor() as cursor:
                cursor.execute("LISTEN " + CHANNEL)
            await_lead(listening, _ACTIVE_LOCK, stopped, milliseconds=_IDLE_MILLISECONDS)
            while not stopped.is_set():
                self._begin(pool, running, lambda: stopped.is_set() or lost.is_set())
                stopped.wait(_GATHER_MILLISECONDS / 1000)
                wait_for_notification(listening, _IDLE_MILLISECONDS)
        finally:
            lost.set()
            wait(running.values())
            pool.shutdown()
            listening.close()

    def _begin(self, pool: ThreadPoolExecutor, running: dict[str, Future[None]], ends: Callable[[], bool]) -> None:
        """Begin to deliver to every endpoint that is due and not being delivered to."""
        now = self._store.clock()
        for endpoint in webhooks.list_endpoints(self._store.database):
            begun = running.get(endpoint.id)
            if endpoint.is_due(now) and (begun is None or begun.done()):
                running[endpoint.id] = pool.submit(self._deliver, endpoint.id, ends)

    def _deliver(self, endpoint_id: str, ends: Callable[[], bool]) -> None:
        try:
            while not ends() and self.deliver_next(endpoint_id):
                pass
        except psycopg2.Error as error:
            _log.warning("webhook %s: the database does not answer: %s", endpoint_id, str(error).strip())
        except Exception:  # noqa: BLE001 - whatever it is, the endpoint stops there and says so
            _log.exception("webhook %s: a message can't be made, it stops until somebody enables it", endpoint_id)
            webhooks.stop_failing(self._store.database, endpoint_id, "a message can't be made: see the service's log")


def attempted(
    sender: Sender, endpoint: Endpoint, outgoing: Outgoing, *, now: datetime, position: int | None, attempt: int
) -> tuple[Attempt, Delivery]:
    """Make one attempt, signed as of now; give what became of it, and the same as the note of it."""
    made = sender.send(endpoint.url, signed_headers(outgoing, endpoint.secrets_at(now), now=now), outgoing.body)
    delivery = Delivery(
        endpoint_id=endpoint.id,
        message_id=outgoing.id,
        position=position,
        attempt=attempt,
        at=now,
        outcome=made.outcome,
        status=made.status,
        detail=made.detail,
        milliseconds=made.milliseconds,
    )
    return made, delivery

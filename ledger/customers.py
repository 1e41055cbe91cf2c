"""Customers: the class each belongs to, effective-dated; a class such as house-account is what rules can name.

Source: design, section 4, "Reference facts".
"""

from collections.abc import Iterable

from ledger.checks import Checks, shown
from ledger.events import NAMES, CustomerClassified, Recorded, encode
from ledger.ids import uuid7
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append, Appended, NewEvent
from ledger.store import SOURCE, Store
from ledger.timeline import Piece, overlay, piece

SUBJECT_PREFIX = "customer/"
ATTEMPTS_MAX = 20


def subject(customer_id: str) -> str:
    """Name the stream of a customer's facts."""
    return SUBJECT_PREFIX + customer_id


def class_pieces(events: Iterable[Recorded]) -> list[Piece[str | None]]:
    """Give a customer's class over time from the customer's events, oldest first; None: no class."""
    facts = [event.data for event in events if isinstance(event.data, CustomerClassified)]
    return overlay(_piece(fact) for fact in facts)


def _piece(fact: CustomerClassified) -> Piece[str | None]:
    return piece(fact.effective_from, fact.effective_to, fact.customer_class)


def classify(store: Store, customer_id: str, fact: CustomerClassified, *, actor: str) -> int:
    """Record a customer's class for a range of days; give the position.

    Errors: Refusal for bad values, and for a fact that changes nothing.
    """
    _check(customer_id, fact)
    for _ in range(ATTEMPTS_MAX):
        events = store.stream(subject(customer_id))
        nobody: Piece[str | None] = piece(None, None, None)
        known = overlay([nobody, *class_pieces(events)])
        if overlay([*known, _piece(fact)]) == known:
            raise Refusal.of(Code.nothing_changed, f"customer {shown(customer_id)} is of this class on those days")
        new = NewEvent(
            subject=subject(customer_id),
            version=len(events) + 1,
            type=NAMES[type(fact)],
            source=SOURCE,
            event_id=str(uuid7()),
            actor=actor,
            effective_on=fact.effective_from,
            data=encode(fact),
        )
        verdict = store.sequencer.append(Append([new]))
        if isinstance(verdict, Appended):
            return verdict.first_position
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the fact again")


def _check(customer_id: str, fact: CustomerClassified) -> None:
    checks = Checks("customer", customer_id)
    checks.identifier(customer_id, "/customer_id")
    checks.identifier(fact.customer_class, "/customer_class")
    checks.text(fact.reason, "/reason")
    checks.days(fact.effective_from, fact.effective_to, "")
    checks.refuse_if_any()

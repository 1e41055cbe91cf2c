"""Reference facts: a customer's class, a product's category, a salesperson's team and quotas, as recorded.

All but quotas are effective-dated: each says a value for the days [from, to), laid over what was said before. A
product's category by such a fact goes before the category that an order line carries. Changing one for the past is
retroactive in the same way as a rule.
Source: design, section 4, "Reference facts".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ledger.checks import Checks, shown
from ledger.events import (
    NAMES,
    CustomerClassified,
    DatedFact,
    ProductCategorised,
    Recorded,
    ReferenceFact,
    SalespersonQuotaSet,
    SalespersonTeamed,
    encode,
)
from ledger.ids import uuid7
from ledger.money import is_currency, micros_of
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append, Appended, NewEvent
from ledger.store import SOURCE, Store
from ledger.timeline import Piece, overlay, piece
from ledger.wording import Sentence, say

ATTEMPTS_MAX = 20


@dataclass(frozen=True)
class Attribute:
    """What a kind of dated fact is about: the field that holds its value, and whose stream it is in."""

    name: str
    owner: str

    @property
    def prefix(self) -> str:
        """Give what the subjects of these facts begin with."""
        return self.owner + "/"


ATTRIBUTES: Final[dict[type[DatedFact], Attribute]] = {
    CustomerClassified: Attribute("customer_class", "customer"),
    ProductCategorised: Attribute("category", "product"),
    SalespersonTeamed: Attribute("team", "salesperson"),
}
QUOTA_OWNER: Final = "salesperson"
OWNERS: Final = ("customer", "product", "salesperson")

Pieces = list[Piece[str | None]]


def subject(owner: str, owner_id: str) -> str:
    """Name the stream of the facts about a customer, a product or a salesperson."""
    assert owner in OWNERS, "facts are about customers, products and salespeople"
    return f"{owner}/{owner_id}"


def value_of(fact: DatedFact) -> str | None:
    """Give the value that a dated fact says."""
    value: str | None = getattr(fact, ATTRIBUTES[type(fact)].name)
    return value


def fact_piece(fact: DatedFact) -> Piece[str | None]:
    """Give the days and the value of a dated fact."""
    return piece(fact.effective_from, fact.effective_to, value_of(fact))


def fact_pieces(events: Iterable[Recorded], kind: type[DatedFact]) -> Pieces:
    """Give one attribute over time from its owner's events, oldest first; days without a fact are in no piece."""
    return overlay(fact_piece(event.data) for event in events if isinstance(event.data, kind))


def quotas(events: Iterable[Recorded]) -> dict[tuple[str, str], int]:
    """Give a salesperson's quotas in micros by period and currency from the salesperson's events, oldest first."""
    found = dict[tuple[str, str], int]()
    for event in events:
        if isinstance(fact := event.data, SalespersonQuotaSet):
            found.pop((fact.period, fact.currency), None)
            if fact.amount is not None:
                found[fact.period, fact.currency] = micros_of(fact.amount)
    return found


def record_fact(store: Store, owner_id: str, fact: DatedFact, *, actor: str) -> int:
    """Record a dated fact about a customer, product or salesperson; give the position.

    Errors: Refusal for bad values, and nothing_changed for a fact that is known on all its days.
    """
    attribute = ATTRIBUTES[type(fact)]
    checks = Checks(attribute.owner, owner_id)
    checks.identifier(owner_id, f"/{attribute.owner}_id")
    checks.identifier(value_of(fact), f"/{attribute.name}")
    checks.text(fact.reason, "/reason")
    checks.days(fact.effective_from, fact.effective_to, "")
    checks.refuse_if_any()

    for _ in range(ATTEMPTS_MAX):
        events = store.stream(subject(attribute.owner, owner_id))
        known = _known(events, type(fact))
        if overlay([*known, fact_piece(fact)]) == known:
            raise Refusal.of(
                Code.nothing_changed,
                say(
                    "{about} has this {attribute_name} on those days: leave it out",
                    about=checks.about,
                    attribute_name=Sentence(attribute.name),
                ),
            )
        position = _appended(store, subject(attribute.owner, owner_id), fact, len(events) + 1, actor=actor)
        if position is not None:
            return position
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the fact again")


def record_quota(store: Store, salesperson_id: str, period: Period, fact: SalespersonQuotaSet, *, actor: str) -> int:
    """Record a salesperson's quota for a period; give the position.

    Errors: Refusal for bad values, and nothing_changed for the quota that holds.
    """
    checks = Checks(QUOTA_OWNER, salesperson_id)
    checks.identifier(salesperson_id, "/salesperson_id")
    checks.text(fact.reason, "/reason")
    if fact.amount is not None and checks.micros(fact.amount, "/amount") < 0:
        checks.note(
            Code.invalid_amount,
            say("a quota of {fact_amount} is below 0: give 0 or more", fact_amount=fact.amount),
            "/amount",
        )
    if not is_currency(fact.currency):
        checks.note(
            Code.unknown_currency,
            say("{fact_currency} is not an ISO 4217 currency", fact_currency=shown(fact.currency)),
            "/currency",
        )
    checks.refuse_if_any()
    for _ in range(ATTEMPTS_MAX):
        events = store.stream(subject(QUOTA_OWNER, salesperson_id))
        known = quotas(events).get((fact.period, fact.currency))
        if known == (None if fact.amount is None else micros_of(fact.amount)):
            raise Refusal.of(
                Code.nothing_changed,
                say(
                    "{about} has this quota for {period_name}: leave it out",
                    about=checks.about,
                    period_name=period.name,
                ),
            )
        position = _appended(
            store, subject(QUOTA_OWNER, salesperson_id), fact, len(events) + 1, actor=actor, period=period
        )
        if position is not None:
            return position
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the quota again")


def _known(events: Iterable[Recorded], kind: type[DatedFact]) -> Pieces:
    """Give an attribute on every day, where days without a fact are days without a value.

    Not so a product's category: where no fact says one, the order lines' own holds.
    """
    known = fact_pieces(events, kind)
    nothing: Piece[str | None] = piece(None, None, None)
    return known if kind is ProductCategorised else overlay([nothing, *known])


def _appended(
    store: Store, stream: str, fact: ReferenceFact, version: int, *, actor: str, period: Period | None = None
) -> int | None:
    """Append a fact at a version of its stream; None where somebody else was faster."""
    if isinstance(fact, SalespersonQuotaSet):
        assert period is not None, "a quota is for a period"
        effective_on = period.start
    else:
        effective_on = fact.effective_from
    new = NewEvent(
        subject=stream,
        version=version,
        type=NAMES[type(fact)],
        source=SOURCE,
        event_id=str(uuid7()),
        actor=actor,
        effective_on=effective_on,
        data=encode(fact),
    )
    verdict = store.append(Append([new]))
    return verdict.first_position if isinstance(verdict, Appended) else None

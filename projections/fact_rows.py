"""Writing reference facts into the projection: bitemporal rows, so that a correction for the past is one row.

What an owner's facts say over time is laid anew with each of them; only the stretches that differ from what was known
before are written, and those that no longer hold are closed at the fact's position.
"""

from collections.abc import Iterable, Sequence

from ledger.database import Cursor
from ledger.events import DatedFact, Recorded, SalespersonQuotaSet, recorded
from ledger.facts import ATTRIBUTES, fact_pieces
from ledger.money import micros_of
from ledger.store import POSITION_MAX, stream_rows
from ledger.timeline import Piece
from projections.attributes import FACT_TABLES, FactTable
from projections.terms import Terms

Pieces = list[Piece[str | None]]


class FactWriter:
    """Writes facts into one generation; keeps the integers of the texts it has met."""

    def __init__(self) -> None:
        self._owners = {kind: Terms(kind) for kind in ("customer", "product", "salesperson")}
        self._values = {name: Terms(name) for name in FACT_TABLES}

    def write(self, cursor: Cursor, subject: str, events: Sequence[Recorded], *, after: int = 0) -> None:
        """Write what an owner's facts behind the position `after` change of what was known before."""
        owner = subject.partition("/")[2]
        for number, event in enumerate(events):
            if event.position > after and isinstance(event.data, DatedFact):
                kind: type[DatedFact] = type(event.data)
                before, now = fact_pieces(events[:number], kind), fact_pieces(events[: number + 1], kind)
                self._write_change(cursor, ATTRIBUTES[kind].name, (owner, event.position), before, now)
            elif event.position > after and isinstance(event.data, SalespersonQuotaSet):
                self._write_quota(cursor, owner, event.position, event.data)

    def _write_change(self, cursor: Cursor, attribute: str, at: tuple[str, int], before: Pieces, now: Pieces) -> None:
        (owner_id, position), fact = at, FACT_TABLES[attribute]
        owners, values = self._owners[fact.owner], self._values[attribute]
        owners.learn(cursor, {owner_id})
        values.learn(cursor, {part.value for part in now})
        owner = owners.ids[owner_id]
        for part in before:
            if part not in now:
                _close(cursor, fact, owner, part, position)
        for part in now:
            if part not in before:
                cursor.execute(
                    f"INSERT INTO {fact.table} (owner, value, valid_from, valid_to, position, superseded)"  # noqa: S608
                    " VALUES (%s, %s, %s, %s, %s, %s)",
                    (owner, values.ids[part.value], part.start, part.end, position, POSITION_MAX),
                )

    def _write_quota(self, cursor: Cursor, salesperson_id: str, position: int, fact: SalespersonQuotaSet) -> None:
        salespeople = self._owners["salesperson"]
        salespeople.learn(cursor, {salesperson_id})
        key = salespeople.ids[salesperson_id], fact.period, fact.currency
        cursor.execute(
            "UPDATE quota SET superseded = %s WHERE salesperson = %s AND period = %s AND currency = %s"
            " AND superseded = %s",
            (position, *key, POSITION_MAX),
        )
        if fact.amount is not None:
            row = (*key, micros_of(fact.amount), position, POSITION_MAX)
            cursor.execute("INSERT INTO quota VALUES (%s, %s, %s, %s, %s, %s)", row)


def _close(cursor: Cursor, fact: FactTable, owner: int, part: Piece[str | None], position: int) -> None:
    cursor.execute(
        f"UPDATE {fact.table} SET superseded = %s WHERE owner = %s AND valid_from = %s AND superseded = %s",  # noqa: S608
        (position, owner, part.start, POSITION_MAX),
    )


def read_facts(cursor: Cursor, subjects: Iterable[str], *, until: int) -> dict[str, list[Recorded]]:
    """Read these owners' facts up to a position, oldest first."""
    found = dict[str, list[Recorded]]()
    for position, _, subject, state in stream_rows(cursor, subjects, until=until):
        found.setdefault(subject, []).append(recorded(position, state))
    return found

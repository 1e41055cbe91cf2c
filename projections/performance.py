"""Performance: figures of a period per salesperson or another grouping, as known at any position.

performance(period, P) = the sum over credit lines known at P and credited in the period, of amount x the share at
which the rulebook known at P counts them. The SQL is in sql/performance.sql; this module chooses the position, has the
rules resolved, and reads the figures with their texts.
Source: design, section 4, "Figures are a pure function"; invariants 3 and 4.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from msgspec import Struct

from ledger.database import Cursor, read_whole_numbers
from ledger.periods import Period
from ledger.recorders import tracked_position
from ledger.refusal import Code, Refusal
from ledger.rules import Rules, RuleVersion
from ledger.store import Store, head_of, refuse_ahead
from ledger.wording import say
from projections.attributes import FACT_TABLES, array_sql
from projections.generation import schema_name, serving_generation, sql, use_generation
from projections.resolution import Resolution, Scope, calculate
from projections.terms import NONE

CREDITED_DECIMALS = 10
GROUPINGS = {
    "salesperson": "l.salesperson",
    "order_type": "l.order_type",
    "customer": "l.customer",
    "customer_class": "customer_class",
    "team": "team",
    "product": "l.product",
    "product_category": "category",
    "month": "CAST(extract(year FROM l.credited_on) * 100 + extract(month FROM l.credited_on) AS integer)",
}
GROUPINGS_MAX = 3
_MEASURES = 6
"""A row of performance.sql: the keys, the currency, and so many measures, in the order in which Figure has them."""
_PLANNING = "SET LOCAL work_mem = '64MB'; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
"""The planner takes a small table of intervals for one to sort many lines by; hashing it is three times as fast."""

_COUNTING = {None: "true", True: "coalesce(r.share, 0) > 0", False: "coalesce(r.share, 0) = 0"}
"""Which credit lines: all, those that count, those that do not."""


@dataclass(frozen=True)
class View:
    """What a computed answer was computed from, so that it can be asked for again."""

    position: int
    known_at: datetime | None
    rulebook_position: int
    digest: str


class Key(Struct, frozen=True, gc=False):
    """A value that figures are grouped by; None where there is none (no salesperson: unassigned)."""

    value: str | None
    name: str | None = None


class Figure(Struct, frozen=True, gc=False):
    """One group's figures in one currency.

    Units: gross and quantities in micros, credited in 10^-10 (micros x ten-thousandths), all exact. The gross figures
    are of all credit lines, the others of those that count (a share above 0), quantities and orders unweighted.
    """

    keys: tuple[Key, ...]
    currency: str
    gross: int
    credited: int
    gross_quantity: int
    quantity: int
    gross_orders: int
    orders: int


@dataclass(frozen=True)
class Performance:
    """The figures of a period, sorted by keys and currency, and the view they belong to."""

    period: Period
    group_by: tuple[str, ...]
    figures: list[Figure]
    view: View


@dataclass(frozen=True)
class Credit:
    """One credit line behind a figure, and the rule version that decides its share. Units as in Figure."""

    position: int
    seq: int
    cause: str
    order_id: str
    line_no: int
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    product_id: str
    category: str | None
    currency: str
    quantity: int
    amount: int
    share: int
    rule: RuleVersion | None


def performance(
    store: Store,
    period: Period,
    *,
    group_by: Sequence[str] = ("salesperson",),
    position: int | None = None,
    rules: Rules | None = None,
) -> Performance:
    """Compute the figures of a period, as known at a position (the latest projected one where none is given).

    Shape: by the rulebook known there, or by other `rules`, as a simulation does.

    Errors: Refusal (invalid_parameter) for groupings there are not; not_yet_projected for a position ahead.
    """
    _check_groupings(group_by)
    with reading(store, position) as (cursor, known):
        resolution = Resolution(
            cursor, rules or store.rulebook_at(known).rules(), Scope(period.start, period.end, known)
        )
        figures = _figures(cursor, resolution, tuple(group_by))
    return Performance(period, tuple(group_by), figures, view(store, known, figures_digest(figures)))


def credits_behind(  # noqa: PLR0913 - which ones, and how many of them
    store: Store,
    salesperson_id: str | None,
    period: Period,
    *,
    position: int | None = None,
    after: tuple[int, int] = (0, -1),
    limit: int = 1_000,
    counts: bool | None = None,
) -> tuple[list[Credit], View]:
    """Give the credit lines behind a salesperson's figure (None: the unassigned ones), and the view.

    Shape: by (position, seq), those behind `after`; at most `limit`. `counts` leaves those that count, or those that do
    not.
    """
    with reading(store, position) as (cursor, known):
        resolution = Resolution(cursor, store.rulebook_at(known).rules(), Scope(period.start, period.end, known))
        statement = sql("credits.sql").format(
            **resolution.sql_parts(),
            salesperson=salesperson_term(cursor, salesperson_id),
            after_position=after[0],
            after_seq=after[1],
            limit_before_rules=limit if counts is None else "ALL",
            counting=_COUNTING[counts],
            limit=limit,
        )
        cursor.execute(statement)
        versions = [*resolution.versions, None]  # a line that no rule matches has none
        found = [Credit(*(*row[:-1], versions[-1 if row[-1] is None else row[-1]])) for row in cursor.fetchall()]
    lines = [f"{credit.position} {credit.seq} {credit.amount} {credit.share}" for credit in found]
    return found, view(store, known, digest_of(lines))


def is_in_ledger(store: Store, salesperson_id: str | None) -> bool:
    """Say whether a credit line, a quota or a team names a salesperson, whenever recorded; of nobody (None): yes."""
    with reading(store, None) as (cursor, _):
        return salesperson_term(cursor, salesperson_id) >= NONE


@contextmanager
def reading(store: Store, position: int | None) -> Iterator[tuple[Cursor, int]]:
    """Read one snapshot of the serving generation: a cursor that names its tables, and the position to read at.

    Errors: Refusal - position_ahead, or not_yet_projected when the position asked for is not projected yet.
    """
    with store.database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
        generation = serving_generation(cursor)
        projected = 0 if generation is None else tracked_position(cursor, schema_name(generation)) or 0
        if generation is None or (position is not None and position > projected):
            refuse_ahead(position or 0, head_of(cursor))
            raise Refusal.of(
                Code.not_yet_projected,
                say(
                    "the projection is at {projected}, before the position asked for: retry in a moment",
                    projected=projected,
                ),
                "/position",
                projected_position=projected,
            )
        use_generation(cursor, generation, _PLANNING)
        read_whole_numbers(cursor)
        yield cursor, projected if position is None else position


def projected_head(store: Store) -> int:
    """Give the latest position that figures are known at."""
    with reading(store, None) as (_, known):
        return known


def view(store: Store, position: int, digest: str) -> View:
    """Describe what an answer at a position was computed from."""
    return View(position, store.recorded_at(position), store.rulebook_at(position).position, digest)


def figures_digest(figures: Sequence[Figure]) -> str:
    """Hash the figures, exact and in order: equal digests are equal figures."""
    return digest_of(map(_digested, figures))


def _digested(figure: Figure) -> str:
    keys = "\t".join(["" if key.value is None else f"={key.value}" for key in figure.keys])
    return (
        f"{keys}\t{figure.currency}\t{figure.gross}\t{figure.credited}\t{figure.gross_quantity}"
        f"\t{figure.quantity}\t{figure.gross_orders}\t{figure.orders}"
    )


def digest_of(lines: Iterable[str]) -> str:
    """Hash the lines of an answer."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check_groupings(group_by: Sequence[str]) -> None:
    unknown = [name for name in group_by if name not in GROUPINGS]
    if unknown or not 1 <= len(group_by) <= GROUPINGS_MAX or len(set(group_by)) != len(group_by):
        raise Refusal.of(
            Code.invalid_parameter,
            say(
                "group_by={group_by} is not a grouping: name one to {groupings_max} different of {groupings}",
                group_by=",".join(group_by),
                groupings_max=GROUPINGS_MAX,
                groupings=", ".join(GROUPINGS),
            ),
            "/group_by",
        )


def _figures(cursor: Cursor, resolution: Resolution, group_by: tuple[str, ...]) -> list[Figure]:
    names = [f"key_{number}" for number in range(len(group_by))]
    by_product = bool({"product", "product_category"} & set(group_by))
    parts = resolution.sql_parts() | {
        "credit": resolution.credits(by_product=by_product),
        "keys": ", ".join(f"{_key(group, resolution)} AS {name}" for group, name in zip(group_by, names, strict=True)),
        "key_names": ", ".join(names),
        "joins": resolution.joins(*(GROUPINGS[group] for group in group_by)),
    }
    rows = calculate(cursor, sql("performance.sql"), parts)
    for_all = by_product or "salesperson" not in group_by
    if for_all or resolution.names_products:  # else an order's lines for one person share one fate
        meant = "" if for_all else resolution.orders_with_named_products()
        cursor.execute(sql("order_count.sql").format(**parts, orders_meant=meant))
        rows = _recounted(rows, cursor.fetchall())
    rows = [row for row in rows if any(row[-_MEASURES:])]  # what was corrected away leaves no trace in the figures
    return sorted(_told(cursor, rows, group_by), key=_place)


def _recounted(rows: Iterable[tuple[int, ...]], counted: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Add to the groups' two counts of orders, which come last in a row."""
    added = {row[:-2]: row[-2:] for row in counted}
    nothing = 0, 0
    recounted = list[tuple[int, ...]]()
    for row in rows:
        gross_orders, orders = added.get(row[:-_MEASURES], nothing)
        recounted.append((*row[:-2], row[-2] + gross_orders, row[-1] + orders))
    return recounted


def _told(cursor: Cursor, rows: Sequence[tuple[int, ...]], group_by: tuple[str, ...]) -> Iterator[Figure]:
    """Give the rows with texts instead of terms."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * (len(group_by) + 1)
    terms = [column for column, group in zip(columns, (*group_by, "currency"), strict=False) if group != "month"]
    texts = texts_of(cursor, set().union(*terms))
    keys = zip(
        *(
            map(_month if group == "month" else texts.__getitem__, column)
            for column, group in zip(columns, group_by, strict=False)
        ),
        strict=True,
    )
    width = len(group_by)
    for key, row in zip(keys, rows, strict=True):
        yield Figure(key, texts[row[width]].value or "", *row[width + 1 :])


def _place(figure: Figure) -> tuple[str, ...]:
    """Give what figures are sorted by: keys and currency."""
    return (*[key.value or "" for key in figure.keys], figure.currency)


def _key(group: str, resolution: Resolution) -> str:
    """Give the SQL of a group's value: a column, or an attribute that facts may say."""
    return resolution.attributes.value(GROUPINGS[group]) if GROUPINGS[group] in FACT_TABLES else GROUPINGS[group]


def texts_of(cursor: Cursor, terms: AbstractSet[int]) -> dict[int, Key]:
    """Give the texts and names of terms; of NONE, that there is none."""
    cursor.execute(f"SELECT id, value, name FROM term WHERE id = ANY({array_sql(terms, 'integer')})")  # noqa: S608
    return {NONE: Key(None)} | {term: Key(value, name) for term, value, name in cursor}


def order_ids(cursor: Cursor, keys: Sequence[int]) -> dict[int, str]:
    """Give the ids of orders by the positions of their first events."""
    cursor.execute("SELECT position, substr(subject, 7) FROM event WHERE position = ANY(%s)", (list(keys),))
    return dict(cursor.fetchall())


def _month(number: int) -> Key:
    return Key(f"{number // 100:04}-{number % 100:02}")


def salesperson_term(cursor: Cursor, salesperson_id: str | None) -> int:
    """Give the term of a salesperson; of nobody (None) NONE, and of one that no line has -1."""
    if salesperson_id is None:
        return NONE
    cursor.execute("SELECT id FROM term WHERE kind = 'salesperson' AND value = %s", (salesperson_id,))
    row = cursor.fetchone()
    return row[0] if row else -1

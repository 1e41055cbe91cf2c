"""The demo ledger: three quarters of 2026 at a maker of sensors and drives, the same events every time it is loaded.

The story, in the order in which it was recorded:
    January    five order types are defined: special orders and samples do not count, repeat orders count half; orders
               of house accounts do not count; C-1005 is a house account until the end of May. Everybody is in a team
               and has a quota for each quarter.
    April      the first quarter is closed.
    May        orders dated March arrived after that: the first quarter is restated.
    June       C-1009 becomes a house account from the 1st, recorded on the 18th: two weeks of orders stop counting.
    July       Jonas Weber (S-02) leaves, Miriam Vogt (S-03) takes over his customers, his open orders and his quota.
               The gateway's product category is corrected from January on. The second quarter is closed.
    August     on the 12th, special orders count from 1 April: the rule changed for the past. What the second quarter
               comes to differs from its statement since; to restate it or to carry that forward is left to the reader.
    October    a change of what repeat orders count at is proposed; it waits for an approver.
Around it there are late, split, unassigned, amended, reclassified, returned and cancelled orders. SO-4711 is an order
of C-1009 in July: it is on nobody's statement, and the ledger says why. Rule changes take two people: Mara in finance
proposes, the CFO approves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, groupby
from random import Random
from typing import Final

from msgspec import structs

from ledger.database import Database
from ledger.events import (
    Alteration,
    Conditions,
    CustomerClassified,
    DatedFact,
    DefineOrderType,
    LedgerOpened,
    Line,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    OrderReassigned,
    OrderReclassified,
    OrderReturned,
    ProductCategorised,
    ReturnedLine,
    RuleChangeProposed,
    SalespersonQuotaSet,
    SalespersonTeamed,
    SetRule,
    Split,
)
from ledger.facts import record_fact, record_quota
from ledger.intake import (
    OrderSubmission,
    SubmitAmended,
    SubmitCancelled,
    SubmitPlaced,
    SubmitReassigned,
    SubmitReclassified,
    SubmitReturned,
    record_all,
)
from ledger.money import micros_of
from ledger.settings import open_ledger
from ledger.signing import Signer
from ledger.store import Store
from projections.closing import close, restate
from projections.impact import approve, propose
from projections.projector import Projector

ORDERS: Final = 600
DEMO_NAME: Final = "Orderledger demo: sensors and drives"
DEMO_SALESPERSON: Final = "S-01"
HOUSE_ACCOUNT_UNTIL_JUNE: Final = "C-1005"
HOUSE_ACCOUNT_FROM_JUNE: Final = "C-1009"
EXPLAINED_ORDER: Final = "SO-4711"
PAST_RULE_CHANGE: Final = "2026-08-special-orders"
WAITING_RULE_CHANGE: Final = "2026-10-repeat-orders"
RECATEGORISED_PRODUCT: Final = "CTL-90"
PERIODS: Final = ("2026-Q1", "2026-Q2", "2026-Q3")
FIRST_DAY, LAST_DAY = date(2026, 1, 2), date(2026, 9, 30)

_ERP = "erp-import"
_FINANCE = "mara.finance"
_APPROVER = "viktor.cfo"
_PRODUCT_MANAGER = "nils.products"
_ORDER_DESK = ("lena.orderdesk", "paul.orderdesk")
_HEAD_OF_SALES = "ruth.sales-director"
_LEAVER, _SUCCESSOR = "S-02", "S-03"
_HANDOVER = date(2026, 7, 1)
_FIRST_NUMBER = 4_301
_TEAM_SIZE = 4
_TEAMS = ("dach", "west-and-north", "china")
_QUOTAS = ((190_000, 150_000, 150_000, 110_000), (160_000, 90_000, 120_000, 60_000), (70_000, 95_000, 130_000, 130_000))
"""Euros a quarter, by team and person."""

SALESPEOPLE: Final = {
    f"S-{number:02}": name
    for number, name in enumerate(
        (
            *("Anna Berger", "Jonas Weber", "Miriam Vogt", "Tobias Kern"),
            *("Femke de Vries", "Oliver Hughes", "Ingrid Solheim", "Luc Moreau"),
            *("王伟", "李娜", "陈晓明", "赵丽华"),
        ),
        1,
    )
}
_CUSTOMERS_BY_TEAM: Final = (
    """Hollmann Maschinenbau GmbH, Brauerei Steinadler, Kessler Fördertechnik AG, Molkerei Grünental eG,
    Stadtwerke Mainau, Vogel & Söhne Pumpen, Papierfabrik Oberau, Alpina Seilbahnen AG, Rheinwerft Duisburg,
    Backhaus Lindner, Zürcher Medizintechnik AG, Holzbau Auer, Kläranlage Ostwald, Wagner Verpackung GmbH,
    Donau Agrar, Feinmechanik Brandl, Salzburger Glashütte, Tiefbau Renner, Windpark Fehmarn, Kaiser Lacke GmbH,
    Obsthof Bodensee, Stahlbau Krüger, Nordring Logistik, Textil Amann""",
    """Van Houten Kassenbouw, Rotterdam Cold Stores, Thames Valley Packaging Ltd, Highland Distillers plc,
    Fjord Seafood AS, Bergen Shipyard AS, Atelier Dubois, Fonderie Lacroix SA, Göteborg Kullager AB, Malmö Plast AB,
    Nordic Paper Oy, Cork Dairy Co-op, Ateliers de la Loire, Antwerp Chemicals NV, Kestrel Instruments Inc.,
    Blue Ridge Automation Inc., Jutland Vind A/S, Leeds Printworks Ltd""",
    """上海华光电子有限公司, 深圳市远达自动化有限公司, 苏州精工机械厂, 杭州绿源水务集团, 广州南方纸业,
    北京中科仪器有限公司, 宁波海天注塑机械, 成都天府食品有限公司, 武汉长江船舶工程, 青岛海润冷链物流,
    天津泰达化工, 西安航宇精密制造, 重庆山城啤酒厂, 南京紫金电力设备, 无锡锡山电缆, 东莞宏图包装,
    Hong Kong Harbour Engineering, Macau Facilities Group""",
)
CUSTOMERS: Final = {
    f"C-{number}": " ".join(name.split()) for number, name in enumerate(",".join(_CUSTOMERS_BY_TEAM).split(","), 1001)
}
_TEAM_OF_CUSTOMER = [team for team, names in enumerate(_CUSTOMERS_BY_TEAM) for _ in names.split(",")]


@dataclass(frozen=True)
class Product:
    """What the company sells. Units: price in cents; an order line takes up to so many pieces."""

    product_id: str
    name: str
    category: str
    price: int
    pieces_max: int


PRODUCTS: Final = (
    Product("SEN-100", "Pressure sensor 10 bar", "sensors", 8_490, 60),
    Product("SEN-110", "Pressure sensor 40 bar", "sensors", 11_250, 60),
    Product("SEN-200", "Level probe 2 m", "sensors", 24_900, 24),
    Product("SEN-300", "Flow meter DN25", "sensors", 68_000, 12),
    Product("SEN-400", "温度传感器 PT100", "sensors", 5_935, 80),
    Product("CTL-10", "Controller mini", "controllers", 31_900, 16),
    Product("CTL-20", "Controller field", "controllers", 74_500, 10),
    Product("CTL-30", "Controller redundant", "controllers", 189_000, 4),
    Product("CTL-90", "Gateway 4G", "controllers", 42_750, 12),
    Product("DRV-1", "Drive 0.75 kW", "drives", 39_980, 20),
    Product("DRV-2", "Drive 2.2 kW", "drives", 58_640, 16),
    Product("DRV-5", "Drive 5.5 kW", "drives", 112_300, 8),
    Product("DRV-9", "变频器 11 kW", "drives", 214_750, 4),
    Product("SW-MON", "Monitoring licence, one year", "software", 18_000, 25),
    Product("SW-OPT", "Optimiser licence, one year", "software", 64_999, 10),
    Product("SW-API", "Data interface", "software", 120_000, 2),
    Product("SRV-INST", "Installation, day", "services", 96_000, 5),
    Product("SRV-CAL", "Calibration", "services", 14_333, 20),
    Product("SRV-TRN", "Training, day", "services", 110_000, 3),
    Product("SRV-CARE", "Care contract, one year", "services", 249_900, 2),
)

_ORDER_TYPES = ("standard", "special", "sample", "repeat", "new-customer")
_ORDER_TYPE_WEIGHTS = (58, 14, 6, 14, 8)
_OPENING: tuple[Alteration, ...] = (
    DefineOrderType("standard", "1", "Standard order"),
    DefineOrderType("special", "0", "Special order (made to a drawing)"),
    DefineOrderType("sample", "0", "Sample"),
    DefineOrderType("repeat", "0.5", "Repeat order"),
    DefineOrderType("new-customer", "1.5", "First order of a new customer"),
    SetRule(Conditions(customer_class="house-account"), "0", date(2026, 1, 1)),
)


@dataclass(frozen=True)
class DemoSummary:
    """What was loaded: so many events; the ledger's position just before the rule was changed for the past."""

    events: int
    position_before_change: int
    rule_change_id: str = PAST_RULE_CHANGE
    periods: tuple[str, ...] = PERIODS


def load_demo(database: Database, *, signer: Signer | None = None) -> DemoSummary:
    """Record the demo's events in an empty, migrated ledger, projecting them where a figure is part of the story.

    Errors: Refusal (ledger_initialised) where the ledger was opened before.
    """
    clock = _Clock(_at(FIRST_DAY, 7))
    store = Store(database, clock=clock, signer=signer)
    before = 0
    try:
        settings = LedgerOpened(DEMO_NAME, time_zone="Europe/Berlin", four_eyes=True)
        open_ledger(store, settings, actor="ines.admin")
        for (at, actor), steps in groupby(_story(), lambda step: (step.at, step.actor)):
            clock.now = at
            facts = [step.fact for step in steps]
            record_all(store, [fact for fact in facts if isinstance(fact, OrderSubmission)], actor=actor)
            for fact in facts:
                if isinstance(fact, RuleChangeProposed) and fact.rule_change_id == PAST_RULE_CHANGE:
                    before = store.head()
                _record(store, fact, actor)
        return DemoSummary(store.head(), before)
    finally:
        store.sequencer.close()


# ---- recording the story


class _Clock:
    """A clock that stands where the story is."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class _Fact:
    """A dated fact about a customer, a product or a salesperson."""

    owner_id: str
    fact: DatedFact


@dataclass(frozen=True)
class _Quota:
    salesperson_id: str
    fact: SalespersonQuotaSet


@dataclass(frozen=True)
class _Approval:
    rule_change_id: str
    reason: str


@dataclass(frozen=True)
class _Closing:
    """A period is closed, or restated."""

    period: str
    reason: str
    again: bool = False


_Told = OrderSubmission | RuleChangeProposed | _Approval | _Fact | _Quota | _Closing


@dataclass(frozen=True)
class _Step:
    """Something recorded: when, by whom, what."""

    at: datetime
    actor: str
    fact: _Told


def _record(store: Store, fact: _Told, actor: str) -> None:
    """Record what is not of an order; what carries figures is computed from all that was recorded before."""
    if isinstance(fact, RuleChangeProposed | _Approval | _Closing):
        Projector(store.database).catch_up()
    match fact:
        case RuleChangeProposed():
            propose(store, fact, actor=actor)
        case _Approval(rule_change_id, reason):
            approve(store, rule_change_id, actor=actor, reason=reason)
        case _Closing(period, reason, again):
            (restate if again else close)(store, period, reason, actor=actor)
        case _Fact(owner_id, dated):
            record_fact(store, owner_id, dated, actor=actor)
        case _Quota(salesperson_id, quota):
            record_quota(store, salesperson_id, store.calendar().period(quota.period), quota, actor=actor)


def _at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), UTC)


# ---- the story


def _story() -> list[_Step]:
    """Tell the whole story, in the order in which it is recorded."""
    random = Random(2026)  # noqa: S311 - believable, not secret
    placed = [_placed(random, number, day) for number, day in enumerate(_order_days(random), _FIRST_NUMBER)]
    told = (_rules(), _classes(), _teams_and_quotas(), _categories(), _closings())
    steps = [*chain.from_iterable(told), *(_placing(random, order) for order in placed)]
    recorded = {step.fact.order_id: step.at for step in steps if isinstance(step.fact, SubmitPlaced)}
    steps.extend(_corrections(random, placed, recorded))
    return sorted(steps, key=lambda step: step.at)


def _rules() -> Iterator[_Step]:
    """Tell the rule changes, and after how many minutes each was approved."""
    special = SetRule(Conditions(order_type="special"), "1", date(2026, 4, 1))
    bonus = SetRule(Conditions(order_type="new-customer"), "1.25", date(2026, 7, 1))
    repeat = SetRule(Conditions(order_type="repeat"), "0.6", date(2026, 7, 1))
    told: tuple[tuple[datetime, int, str, tuple[Alteration, ...], str, str], ...] = (
        (_at(FIRST_DAY, 8), 25, "2026-01-opening", _OPENING, "The order types and rules of the 2026 plan.", "plan"),
        (
            *(_at(date(2026, 6, 22), 13, 40), 95, "2026-06-new-customer", (bonus,)),
            *("From the third quarter first orders of new customers count 1.25 instead of 1.5.", "plan"),
        ),
        (
            *(_at(date(2026, 8, 12), 10, 20), 40, PAST_RULE_CHANGE, (special,)),
            *("Agreed with sales on 11 August: special orders count from 1 April.", "agreement"),
        ),
        (
            *(_at(date(2026, 10, 5), 9, 10), 0, WAITING_RULE_CHANGE, (repeat,)),
            *("Sales asks that repeat orders count 0.6 instead of 0.5 from the third quarter on.", "agreement"),
        ),
    )
    for at, minutes, rule_change_id, alterations, reason, reason_code in told:
        yield _Step(at, _FINANCE, RuleChangeProposed(rule_change_id, alterations, reason, reason_code))
        if minutes:
            approval = _Approval(rule_change_id, "The impact is what was agreed.")
            yield _Step(at + timedelta(minutes=minutes), _APPROVER, approval)


def _classes() -> Iterator[_Step]:
    until = CustomerClassified(
        "house-account", date(2026, 1, 1), date(2026, 6, 1), "Served by head office until the tender is decided in May."
    )
    since = CustomerClassified(
        "house-account", date(2026, 6, 1), None, "Group contract signed by the board: head office owns this account."
    )
    yield _Step(_at(date(2026, 1, 5), 9, 30), _HEAD_OF_SALES, _Fact(HOUSE_ACCOUNT_UNTIL_JUNE, until))
    yield _Step(_at(date(2026, 6, 18), 15, 5), _HEAD_OF_SALES, _Fact(HOUSE_ACCOUNT_FROM_JUNE, since))


def _teams_and_quotas() -> Iterator[_Step]:
    """Everybody has a team and a quota a quarter; what the leaver was to reach is his successor's from July on."""
    plan, handover = _at(date(2026, 1, 5), 10), _at(date(2026, 7, 2), 12, 30)
    for number, person in enumerate(SALESPEOPLE):
        team = SalespersonTeamed(_TEAMS[number // _TEAM_SIZE], FIRST_DAY.replace(day=1), None, "The 2026 plan.")
        yield _Step(plan, _HEAD_OF_SALES, _Fact(person, team))
        for period in PERIODS:
            yield _Step(plan, _HEAD_OF_SALES, _quota(person, period, _planned(number), "The 2026 plan."))
    leaver, successor = (list(SALESPEOPLE).index(person) for person in (_LEAVER, _SUCCESSOR))
    both, reason = _planned(leaver) + _planned(successor), "Jonas Weber leaves, Miriam Vogt takes over."
    yield _Step(handover, _HEAD_OF_SALES, _quota(_LEAVER, PERIODS[2], None, reason))
    yield _Step(handover, _HEAD_OF_SALES, _quota(_SUCCESSOR, PERIODS[2], both, reason))


def _planned(number: int) -> int:
    return _QUOTAS[number // _TEAM_SIZE][number % _TEAM_SIZE]


def _quota(person: str, period: str, euros: int | None, reason: str) -> _Quota:
    amount = None if euros is None else f"{euros}.00"
    return _Quota(person, SalespersonQuotaSet(period, "EUR", amount, reason))


def _categories() -> Iterator[_Step]:
    networking = ProductCategorised(
        "networking", date(2026, 1, 1), None, "The gateway was filed under controllers by mistake since January."
    )
    yield _Step(_at(date(2026, 7, 6), 14, 15), _PRODUCT_MANAGER, _Fact(RECATEGORISED_PRODUCT, networking))


def _closings() -> Iterator[_Step]:
    first, second, _ = PERIODS
    late = "Orders of March arrived from the partners after the close."
    yield _Step(_at(date(2026, 4, 8), 9), _FINANCE, _Closing(first, "The first quarter is complete in the ERP."))
    yield _Step(_at(date(2026, 5, 27), 10), _FINANCE, _Closing(first, late, again=True))
    yield _Step(_at(date(2026, 7, 8), 9), _FINANCE, _Closing(second, "The second quarter is complete in the ERP."))


# ---- orders


@dataclass(frozen=True)
class _Order:
    order_id: str
    placed: OrderPlaced

    @property
    def day(self) -> date:
        """The day of the order."""
        return self.placed.ordered_on


def _order_days(random: Random) -> list[date]:
    days = [FIRST_DAY + timedelta(number) for number in range((LAST_DAY - FIRST_DAY).days + 1)]
    return sorted(random.choices([day for day in days if day.weekday() < 5], k=ORDERS))


def _placed(random: Random, number: int, day: date) -> _Order:
    order_id = f"SO-{number}"
    customer_id = random.choice(list(CUSTOMERS))
    order_type = random.choices(_ORDER_TYPES, _ORDER_TYPE_WEIGHTS)[0]
    if number % 25 == 1:  # the house accounts order often enough to be seen
        customer_id = random.choice((HOUSE_ACCOUNT_UNTIL_JUNE, HOUSE_ACCOUNT_FROM_JUNE))
    if order_id == EXPLAINED_ORDER:
        customer_id, order_type = HOUSE_ACCOUNT_FROM_JUNE, "standard"
    products = random.sample(PRODUCTS, k=1 if order_type == "sample" else random.randint(1, 4))
    lines = (_line(random, line_no, product, order_type) for line_no, product in enumerate(products, 1))
    placed = OrderPlaced(
        ordered_on=day,
        order_type=order_type,
        customer_id=customer_id,
        customer_name=CUSTOMERS[customer_id],
        currency="USD" if CUSTOMERS[customer_id].endswith("Inc.") else "EUR",
        lines=tuple(lines),
        splits=_splits(random, customer_id, day),
    )
    return _Order(order_id, placed)


def _line(random: Random, line_no: int, product: Product, order_type: str) -> Line:
    pieces = 1 if order_type == "sample" else random.randint(1, product.pieces_max)
    percent = random.choice((100, 100, 100, 95, 90))
    return Line(
        line_no=line_no,
        product_id=product.product_id,
        quantity=str(pieces),
        amount=_money(product.price * pieces * percent, 100),
        category=product.category,
        product_name=product.name,
    )


def _money(cents: int, divisor: int = 1) -> str:
    """Write cents / divisor, rounded half-up to whole cents."""
    rounded = (2 * cents + divisor) // (2 * divisor)
    return f"{rounded // 100}.{rounded % 100:02}"


def _team(customer_id: str) -> list[str]:
    first = _TEAM_OF_CUSTOMER[int(customer_id.removeprefix("C-")) - 1001] * _TEAM_SIZE
    return list(SALESPEOPLE)[first : first + _TEAM_SIZE]


def _owner(customer_id: str, day: date) -> str:
    """Give who looks after a customer; the house accounts are the demo salesperson's."""
    person = _team(customer_id)[(int(customer_id.removeprefix("C-")) - 1001) % _TEAM_SIZE]
    return _SUCCESSOR if person == _LEAVER and day >= _HANDOVER else person


def _splits(random: Random, customer_id: str, day: date) -> tuple[Split, ...]:
    owner = _owner(customer_id, day)
    here = [person for person in _team(customer_id) if person not in (owner, _LEAVER)]
    match random.choices(("alone", "halves", "helped", "thirds", "nobody"), (88, 4, 4, 2, 2))[0]:
        case "halves":
            return _shared((owner, "0.5"), (random.choice(here), "0.5"))
        case "helped":
            return _shared((owner, "0.7"), (random.choice(here), "0.3"))
        case "thirds":
            first, second = random.sample(here, k=2)
            return _shared((owner, "0.3334"), (first, "0.3333"), (second, "0.3333"))
        case "nobody":
            return ()
    return _shared((owner, "1"))


def _shared(*parts: tuple[str, str]) -> tuple[Split, ...]:
    return tuple(Split(person, share, SALESPEOPLE[person]) for person, share in parts)


def _placing(random: Random, order: _Order) -> _Step:
    """Most orders come with the evening's transfer of their day; a few of the partners' are days or weeks late."""
    late = random.randint(3, 40) if random.randint(1, 100) <= 6 and order.order_id != EXPLAINED_ORDER else 0
    at = _at(order.day, 18, 30) if not late else _at(_workday(order.day + timedelta(late)), 9, 15)
    actor, source = ("partner-portal", "portal") if late else (_ERP, "erp")
    event_id = f"{order.order_id}/placed"
    return _Step(at, actor, SubmitPlaced(source=source, event_id=event_id, order_id=order.order_id, data=order.placed))


def _workday(day: date) -> date:
    while day.weekday() >= 5:
        day += timedelta(1)
    return day


# ---- what becomes of orders


def _corrections(random: Random, placed: list[_Order], recorded: dict[str, datetime]) -> Iterator[_Step]:
    """Let something happen to some orders, each kind to others."""
    handed_over = [order for order in placed if _is_handed_over(order)]
    others = [order for order in placed if order not in handed_over and order.order_id != EXPLAINED_ORDER]
    others = [order for order in others if order.day < date(2026, 8, 15) and order.placed.splits]
    random.shuffle(others)
    for order in handed_over:
        data = OrderReassigned(_HANDOVER, _shared((_SUCCESSOR, "1")))
        at = max(_at(date(2026, 7, 2), 11, 45), recorded[order.order_id] + timedelta(hours=2))
        yield _step(SubmitReassigned, order, data, at, _HEAD_OF_SALES)
    kinds: tuple[tuple[Sequence[_Order], Callable[[Random, _Order, int], _Correction]], ...] = (
        ([*handed_over[:3], *others[:22]], _returned),
        (others[22:29], _cancelled),
        (others[29:37], _amended),
        (others[37:43], _reclassified),
        (others[43:46], _credited_to_another),
    )
    for orders, correct in kinds:
        for number, order in enumerate(orders):
            day, kind, correction = correct(random, order, number)
            after = max(recorded[order.order_id].date(), day, _HANDOVER if order in handed_over else day)
            at = _at(_workday(after + timedelta(random.randint(1, 4))), random.randint(7, 16), random.randint(0, 59))
            yield _step(kind, order, correction, at, random.choice(_ORDER_DESK))


_Correction = tuple[date, type, object]
"""The day that something was known, and the kind and data of what is submitted for it."""


def _step(kind: type, order: _Order, data: object, at: datetime, actor: str) -> _Step:
    name = kind.__name__.removeprefix("Submit").lower()
    sent = kind(source="desk", event_id=f"{order.order_id}/{name}", order_id=order.order_id, data=data)
    return _Step(at, actor, sent)


def _is_handed_over(order: _Order) -> bool:
    """Say whether an order of the leaver is still open when he goes."""
    splits = order.placed.splits
    return date(2026, 6, 8) <= order.day < _HANDOVER and len(splits) == 1 and splits[0].salesperson_id == _LEAVER


def _returned(random: Random, order: _Order, _number: int) -> _Correction:
    line = random.choice(order.placed.lines)
    pieces = int(line.quantity)
    back = random.randint(1, pieces)
    cents = micros_of(line.amount) // 10_000
    day = max(order.day + timedelta(random.randint(6, 45)), _HANDOVER if _is_handed_over(order) else order.day)
    returned = ReturnedLine(line.line_no, str(back), line.amount if back == pieces else _money(cents * back, pieces))
    return day, SubmitReturned, OrderReturned(day, (returned,))


def _cancelled(random: Random, order: _Order, number: int) -> _Correction:
    """The first was typed twice and is void as of its own date; the others are cancelled from a day on."""
    if number == 0:
        return order.day, SubmitCancelled, OrderCancelled(order.day, void=True)
    day = order.day + timedelta(random.randint(4, 30))
    return day, SubmitCancelled, OrderCancelled(day)


def _amended(random: Random, order: _Order, _number: int) -> _Correction:
    """The price of the first line was wrong: ten per cent more or less."""
    first, *others = order.placed.lines
    cents = micros_of(first.amount) // 10_000
    corrected = structs.replace(first, amount=_money(cents * random.choice((90, 110)), 100))
    return order.day + timedelta(random.randint(1, 12)), SubmitAmended, OrderAmended((corrected, *others))


def _reclassified(random: Random, order: _Order, _number: int) -> _Correction:
    order_type = "special" if order.placed.order_type != "special" else "standard"
    return order.day + timedelta(random.randint(1, 20)), SubmitReclassified, OrderReclassified(order_type)


def _credited_to_another(random: Random, order: _Order, _number: int) -> _Correction:
    """It was entered for the wrong person: corrected as of the placing date."""
    splits = order.placed.splits
    colleague = next(person for person in _team(order.placed.customer_id) if person != splits[0].salesperson_id)
    found_on = order.day + timedelta(random.randint(5, 20))
    return found_on, SubmitReassigned, OrderReassigned(order.day, _shared((colleague, "1")))

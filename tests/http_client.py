"""The service as the tests of HTTP see it: the application on one ledger, a token for each role, short ways to ask.

    with serving(database) as service:
        service.define(standard="1", sample="0")
        position = service.record(placed("SO-1"))
        service.app.projector.catch_up()
        service.get("/v1/performance", period="2026-Q1")

Nothing is replaced: requests go through the whole application to a real PostgreSQL.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from werkzeug.test import TestResponse

from api.app import Config, create_app
from ledger.database import Database, one
from ledger.refusal import Code
from ledger.tokens import ROLES, create_token
from projections.projector import Projector
from tests.conftest import administer, clone
from tests.documented import hold

JSON = "application/json"
PROBLEM = "application/problem+json"
OWN_SALESPERSON = "ann"
"""Whose figures the token of role sales may see."""


class Service:
    """The application on one ledger; `ask` makes any request, the others the usual ones."""

    def __init__(self, database: Database, signing_key: Path | None = None, **settings: Any) -> None:
        self.database = database
        self.app = create_app(Config(database.url, connections_max=12, signing_key=signing_key, **settings))
        self.tokens = {role: self.token(role) for role in ROLES}

    def token(self, *roles: str, principal: str | None = None, expires_at: datetime | None = None) -> str:
        """Make a token with these roles; of role sales, it is OWN_SALESPERSON's."""
        principal = principal or (OWN_SALESPERSON if "sales" in roles else f"{roles[0]}-clerk")
        return create_token(self.database, principal, roles, now=datetime.now(UTC), expires_at=expires_at)

    def ask(self, method: str, path: str, role: str | None, **options: Any) -> TestResponse:
        """Make a request as a role (None: without a token); `sent` is its JSON body, other options are Flask's.

        A POST is about whatever version there is, where it is about one: If-Match is * unless the headers say another,
        or None for no such header.
        """
        stated = {"If-Match": "*" if method == "POST" else None, **options.pop("headers", {})}
        headers = {name: value for name, value in stated.items() if value is not None}
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(role, role)}"
        if "sent" in options:
            options["data"] = json.dumps(options.pop("sent"))
        if "data" in options:
            options.setdefault("content_type", JSON)
        response = self.app.test_client().open(path, method=method, headers=headers, buffered=True, **options)
        hold(self.app, method, path, response)
        return response

    def get(self, path: str, role: str = "auditor", **query: Any) -> Any:
        """Read what must be there."""
        response = self.ask("GET", path, role, query_string=query or None)
        assert response.status_code == 200, response.text
        return response.json

    def post(self, path: str, sent: object, role: str = "ingest") -> TestResponse:
        """Send a JSON document."""
        return self.ask("POST", path, role, sent=sent)

    def record(self, event: Mapping[str, Any]) -> int:
        """Record an order event that is new; give its position."""
        response = self.post("/v1/order-events", event)
        assert response.status_code == 201, response.text
        position: int = response.get_json()["position"]
        return position

    def change(self, *alterations: Mapping[str, Any], **more: str) -> Any:
        """Change the rulebook: proposed by one, approved by another, each seeing everything projected."""
        proposed = self.propose(*alterations, **more)
        return self.decide(proposed["rule_change_id"], "approve")

    def propose(self, *alterations: Mapping[str, Any], **more: str) -> Any:
        """Propose to change the rulebook."""
        self.catch_up()
        response = self.post("/v1/rule-changes", {"alterations": alterations, "reason": "as agreed", **more}, "rules")
        assert response.status_code == 201, response.text
        return response.json

    def decide(self, rule_change_id: str, decision: str, role: str = "approver", **sent: Any) -> Any:
        """Decide on a proposal; what must be possible."""
        self.catch_up()
        response = self.post(f"/v1/rule-changes/{rule_change_id}/{decision}", sent, role)
        assert response.status_code == 200, response.text
        self.catch_up()
        return response.json

    def catch_up(self) -> None:
        """Project everything, whether the service's own projector runs or not."""
        Projector(self.database).catch_up()

    def define(self, **shares: str) -> int:
        """Define order types with the shares at which they count; give the position."""
        defined = self.change(
            *(
                {"action": "define_order_type", "order_type": name, "share": share, "name": name.title()}
                for name, share in shares.items()
            )
        )
        position: int = defined["position"]
        return position

    def figures(self, **query: Any) -> dict[tuple[str | None, ...], str]:
        """Read what is credited, rounded: by the values of the grouping and the currency."""
        answered = self.get("/v1/performance", **query)
        return {
            (*(figure["group"][name] for name in answered["group_by"]), figure["currency"]): figure["credited"]
            for figure in answered["figures"]
        }

    def trace(self) -> tuple[Any, ...]:
        """Give everything by which the ledger could show that something was recorded."""
        with self.database.cursor() as cursor:
            cursor.execute("SELECT head::text, (SELECT count(*) FROM event) FROM head")
            return one(cursor)


@contextmanager
def serving(database: Database, signing_key: Path | None = None, **settings: Any) -> Iterator[Service]:
    """Serve a ledger for a test; nothing is projected unless it catches up or starts the projector."""
    service = Service(database, signing_key, **settings)
    try:
        yield service
    finally:
        service.app.stop()


@contextmanager
def fresh_database(server_url: Callable[[str], str], template: str) -> Iterator[Database]:
    """Make a database for a whole module, whose tests record nothing or don't mind each other."""
    name = f"{template}_{uuid4().hex[:8]}"
    clone(server_url, template, name)
    database = Database(server_url(name))
    try:
        yield database
    finally:
        database.close()
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


# ---- what is sent


def placed(order_id: str = "SO-1", amount: str = "100.00", **changes: Any) -> dict[str, Any]:
    """An order.placed of one line: 4 pieces, sold by ann on 10 March 2026; `changes` are of its data."""
    data = {
        "ordered_on": "2026-03-10",
        "order_type": "standard",
        "customer_id": "C-1",
        "currency": "EUR",
        "lines": [line(amount=amount)],
        "splits": [{"salesperson_id": OWN_SALESPERSON}],
        **changes,
    }
    return event("order.placed", order_id, event_id=f"place-{order_id}", **data)


def line(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An order line."""
    return {"line_no": number, "product_id": f"P-{number}", "quantity": "4", "amount": "100.00", **changes}


def event(kind: str, order_id: str, *, event_id: str | None = None, **data: Any) -> dict[str, Any]:
    """An order event as it is sent; without an event_id it has one of its own."""
    return {
        "type": kind,
        "source": "shop",
        "event_id": event_id or uuid4().hex,
        "order_id": order_id,
        "data": data,
    }


def part(line_no: int = 1, quantity: str = "1", amount: str = "60.00") -> dict[str, Any]:
    """What comes back of a line."""
    return {"line_no": line_no, "quantity": quantity, "amount": amount}


def new(**changes: Any) -> dict[str, Any]:
    """An order that is not in the ledger yet."""
    return placed("NEW", **changes)


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """The document without some members."""
    return {name: value for name, value in document.items() if name not in names}


def lines(**changes: Any) -> dict[str, Any]:
    """A new order whose second line is changed."""
    return new(lines=[line(1), line(2, **changes)])


def shares(*given: Any) -> dict[str, Any]:
    """A new order divided by these shares."""
    return new(splits=[{"salesperson_id": f"S-{number}", "share": share} for number, share in enumerate(given)])


def returned(*parts: dict[str, Any], order_id: str = "SO-2", on: str = "2026-03-20") -> dict[str, Any]:
    """A return."""
    return event("order.returned", order_id, event_id="bad", returned_on=on, lines=list(parts))


def cancelled(order_id: str = "SO-1", on: str = "2026-03-20", **data: Any) -> dict[str, Any]:
    """A cancellation."""
    return event("order.cancelled", order_id, event_id="bad", cancelled_on=on, **data)


def person(salesperson_id: str, share: str = "1") -> dict[str, str]:
    """A salesperson's share."""
    return {"salesperson_id": salesperson_id, "share": share}


def reassigned(*splits: dict[str, str]) -> dict[str, Any]:
    """A reassignment of an order that is there."""
    return event("order.reassigned", "SO-1", event_id="bad", effective_from="2026-03-20", splits=splits)


def amended(order_id: str, *lines: dict[str, Any]) -> dict[str, Any]:
    """An amendment of the lines, or of nothing."""
    return event("order.amended", order_id, event_id="bad", **({"lines": lines} if lines else {}))


def sold_by(*people: str) -> dict[str, Any]:
    """A new order divided equally."""
    return new(splits=[person(each, str(1 / len(people))) for each in people])


def many(count: int) -> dict[str, Any]:
    """A new order of so many lines."""
    return new(lines=[line(number) for number in range(1, count + 1)])


class Zeros(io.RawIOBase):
    """A body of zeros, made as it is read; counts what was."""

    def __init__(self, size: int) -> None:
        self.left, self.size = size, size

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give zeros."""
        count = min(len(buffer), self.left)
        buffer[:count] = b"0" * count
        self.left -= count
        return count


# ---- what is answered


def total(rows: list[Any], field: str) -> dict[str, Decimal]:
    """Sum a field of decimal strings, exactly, per currency."""
    sums = dict[str, Decimal]()
    for row in rows:
        sums[row["currency"]] = sums.get(row["currency"], Decimal(0)) + Decimal(row[field])
    return sums


def refused(response: TestResponse, code: Code) -> Any:
    """See that the answer is a whole problem document that leads with this code; give its errors."""
    problem = response.get_json()
    assert (response.status_code, response.mimetype) == (code.status, PROBLEM), response.text
    assert (problem["code"], problem["status"], problem["title"]) == (code.name, code.status, code.title)
    assert problem["type"] == f"/errors/{code.name}"
    assert problem["request_id"] == response.headers["X-Request-Id"] != ""
    assert problem["errors"][0]["code"] == code.name
    for error in problem["errors"]:
        assert error["remedy"] == Code[error["code"]].remedy != ""
        assert error["detail"] != ""
    return problem["errors"]


def resolve(document: Any, pointer: str) -> Any:
    """Find what a JSON pointer points at (RFC 6901); LookupError where there is nothing."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document

"""A ledger that has something of everything that the API's answers can hold, served."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger import checkpoints
from ledger.database import Database
from ledger.signing import Signer
from tests.http_client import Service, event, line, part, person, placed, serving

RULE = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0.5", "effective_from": "2026-01-01"}
CHANGE = {"alterations": [RULE], "reason": "as agreed", "rule_change_id": "RC-1", "reason_code": "policy"}
FIRST = placed("SO-1", lines=[line(1, category="K-1", product_name="Drive"), line(2)])
CLOSED = "/v1/periods/2024-Q1"
HOOKS = "/v1/webhooks"
BECAUSE: dict[str, Any] = {"reason": "as agreed"}


@contextmanager
def serving_everything(database: Database, key: Path, **settings: Any) -> Iterator[Service]:
    """Serve the ledger; `key` is the folder of a signing key that is made, `settings` are the application's."""
    made = Signer(key).create_key("test")
    with serving(database, key, **settings) as service:
        checkpoints.introduce_key(service.app.store, made, actor="admin")
        service.define(standard="1", sample="0")
        service.change({"action": "retire_order_type", "order_type": "sample", "effective_from": "2027-01-01"})
        service.record(FIRST)
        service.change(RULE, **{name: str(CHANGE[name]) for name in ("rule_change_id", "reason_code")})
        for number, share in ((3, "0.3"), (4, "0.4")):
            service.propose({**RULE, "share": share}, rule_change_id=f"RC-{number}")
        service.record(placed("SO-2", splits=[], customer_name="Müller & Co"))
        service.record(placed("SO-3", splits=[person("ann", "0.5"), person("bob", "0.5")]))
        service.record(event("order.reassigned", "SO-3", effective_from="2026-04-01", splits=[person("bob")]))
        service.record(event("order.returned", "SO-3", returned_on="2026-05-01", lines=[part()]))
        service.record(event("order.cancelled", "SO-3", cancelled_on="2026-06-01"))
        service.propose({**RULE, "conditions": {"product_id": "P-9"}}, rule_change_id="RC/2")
        close_the_first_quarter(service)
        make_a_webhook(service)
        yield service


def make_a_webhook(service: Service) -> None:
    """Make a webhook of a known id that was told of something; no name of it is looked up."""
    service.app.webhook_sender.look_up = lambda *_: []
    made = service.post(HOOKS, {"url": "https://hooks.example/", "description": "ERP"}, "admin").get_json()
    with service.database.cursor() as cursor:
        cursor.execute("UPDATE webhook_endpoint SET id = '0123456789abcdef' WHERE id = %s", (made["webhook"]["id"],))


def close_the_first_quarter(service: Service) -> None:
    """Close 2024-Q1, carry a late order into the next quarter, and leave the drift of another."""
    for command, sent in (("close", BECAUSE), ("carry-forward", {**BECAUSE, "into_period": "2024-Q2"})):
        service.record(placed(f"BEFORE-{command}", ordered_on="2024-02-10"))
        service.app.projector.catch_up()
        assert service.post(f"{CLOSED}/{command}", sent, "finance").status_code == 201
    service.record(placed("LATE", ordered_on="2024-02-10", splits=[person("ann")]))
    service.app.projector.catch_up()
